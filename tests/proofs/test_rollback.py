"""Rolling back revives nothing, and nobody can tell what is denied from what never was."""

import random
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from retrieval.findings import Findings
from retrieval.live import LiveIndex
from tests.proofs import draw
from tests.proofs.oracle import Key, Lists, Oracle, Paper, Who
from tests.proofs.world import NEW, Pins, World, ask, open_world, recipe

STAFF, HR = Lists(frozenset({"group:staff"})), Lists(frozenset({"group:hr"}))
ANA = Who("acme", "ana", frozenset({"staff"}))
DOOMED, KEPT, BUDGETS = 200, 20, (25, 40, 60)
JOURNEY = ("build", "flip", "roll back", "restart", "flip", "build", "flip", "restart", "roll back", "restart")


class Journey:
    """A world that goes through builds, flips, rollbacks and restarts, while documents go at any point of it."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder = folder
        self.rng = rng
        self.oracle = Oracle(datetime.now(UTC).date())
        self.opened = AsyncExitStack()
        self.budgets = iter(BUDGETS)
        self.gone: set[str] = set()

    async def open(self, pins: Pins) -> None:
        self.world: World = await self.opened.enter_async_context(open_world(self.folder, self.oracle, pins))

    async def go(self, stage: str) -> None:
        match stage:
            case "build":
                await self.world.build(recipe(next(self.budgets)))
            case "flip":
                await self.world.flip()
            case "roll back":
                await self.world.roll_back()
            case "restart":
                pins = self.world.board.pins()
                await self.opened.aclose()
                await self.open(pins)

    async def lose(self, key: Key) -> None:
        """Half are deleted, half have other readers."""
        await (self.world.delete(key) if len(self.gone) % 2 else self.world.grant(key, HR))
        self.gone.add(key[1])

    async def seen(self) -> set[str]:
        """What Ana finds under any version that is open, whether it has caught up or not."""
        question = draw.question(self.rng)
        found = [await self.world.found(index, ANA, question) for index in self.world.board.retained()]
        return {document for one in found if one is not None for document in one}


async def test_no_rollback_revives_what_was_deleted_or_revoked(tmp_path: Path) -> None:
    rng = random.Random(200)
    journey = Journey(tmp_path, rng)
    await journey.open(NEW)
    keys = [("acme", f"papers/{n}.txt") for n in range(DOOMED + KEPT)]
    await journey.world.put_all([(key, Paper(draw.text(rng, 1)), STAFF) for key in keys])
    doomed = rng.sample(keys, DOOMED)
    share = DOOMED // (len(JOURNEY) + 1)
    for n, stage in enumerate((*JOURNEY, "rest")):
        for key in doomed[n * share : (n + 1) * share if stage != "rest" else None]:
            await journey.lose(key)
        assert not journey.gone & await journey.seen()
        await journey.go(stage)
        assert not journey.gone & await journey.seen(), f"revived by {stage}"
    await journey.world.follow()
    await journey.world.check_followed(ANA, draw.question(rng))
    assert len(journey.gone) == DOOMED
    assert await journey.seen() == {name for _, name in keys} - journey.gone
    assert len(journey.world.board.retained()) >= 2
    deleted = journey.gone - {name for _, name in journey.oracle.standing}
    for index in journey.world.board.retained():
        assert [await index.store.holds("acme", name) for name in sorted(deleted)] == [0] * (DOOMED // 2)
    await journey.opened.aclose()


OTHERS = {
    "another tenant's": (("other", "theirs.txt"), STAFF),
    "other readers'": (("acme", "hr.txt"), HR),
    "denied": (("acme", "denied.txt"), Lists(STAFF.allow, frozenset({"user:ana"}))),
    "deleted": (("acme", "deleted.txt"), STAFF),
    "revoked": (("acme", "revoked.txt"), STAFF),
}


async def test_denied_missing_and_deleted_are_found_the_same(tmp_path: Path) -> None:
    """Every figure of a finding but its timings, under both versions that are open."""
    rng = random.Random(6)
    own = [(("acme", f"papers/{n}.txt"), Paper(draw.text(rng, 3)), STAFF) for n in range(12)]
    texts = {whose: draw.text(rng, 3) for whose in OTHERS}
    oracle = Oracle(datetime.now(UTC).date())
    async with AsyncExitStack() as opened:
        bare = await opened.enter_async_context(open_world(tmp_path / "bare", oracle))
        full = await opened.enter_async_context(open_world(tmp_path / "full", Oracle(oracle.today)))
        for world in (bare, full):
            await world.put_all(own[:6])
        await full.put_all([(key, Paper(texts[whose]), lists) for whose, (key, lists) in OTHERS.items()])
        for world in (bare, full):
            await world.build(recipe(25))
            await world.put_all(own[6:])
        await full.delete(OTHERS["deleted"][0])
        await full.grant(OTHERS["revoked"][0], HR)
        for world in (bare, full):
            await world.follow()
        asked = [draw.question(rng) for _ in range(60)] + list(texts.values())
        for question in asked:
            for one, other in zip(bare.board.retained(), full.board.retained(), strict=True):
                found = [await timeless(index, question) for index in (one, other)]
                assert found[0] == found[1]
                assert found[0].passages


async def timeless(index: LiveIndex, question: str) -> Findings:
    return replace(await ask(index, ANA, question, limit=8), timings={})
