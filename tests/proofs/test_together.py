"""Writers, a follower, flips and readers at once: each document is found as it was at some moment meanwhile."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from retrieval.acl import AccessFilter
from retrieval.errors import IndexBehind
from retrieval.fusion import Legs
from retrieval.store import HybridQuery, Narrowing
from retrieval.stores.edge_store import EdgeStore
from tests.proofs import draw
from tests.proofs.oracle import Key, Lists, Oracle, Paper, Standing, Who
from tests.proofs.world import ANYTHING, World, access, ask, new_document, open_world, recipe, texts_found

WRITERS, EACH, CHANGES = 4, 2, 40
GROUPS = ["a", "b", "c"]
WHO = Who("acme", "ana", frozenset({"a"}))
State = Standing | None


@dataclass(slots=True)
class Board:
    """What each document may be now: one state, or two while a change of it is under way; and all that ever began."""

    possible: dict[Key, list[State]] = field(default_factory=dict)
    begun: list[tuple[Key, State]] = field(default_factory=list)

    def begin(self, key: Key, state: State) -> None:
        self.possible.setdefault(key, [None]).append(state)
        self.begun.append((key, state))

    def end(self, key: Key) -> None:
        """Acknowledged: nobody may find the state before from now on."""
        self.possible[key] = self.possible[key][-1:]


class Together:
    """Everything that goes on in one world. Each document has one writer, all are of one tenant."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world = world
        self.rng = rng
        self.board = Board()
        self.working = WRITERS
        self.reads = self.refusals = self.flips = 0

    async def write(self, keys: Sequence[Key]) -> None:
        """Change one's own documents, one after the other."""
        for _ in range(CHANGES):
            key = self.rng.choice(keys)
            before = self.board.possible.get(key, [None])[-1]
            await self.change(key, before)
            self.board.end(key)
        self.working -= 1

    async def change(self, key: Key, before: State) -> None:
        lists = Lists(frozenset({f"group:{one}" for one in self.rng.sample(GROUPS, self.rng.randint(1, 2))}))
        documents, does = self.world.documents, self.rng.choice(["put", "put", "grant", "delete"])
        if before is None or does == "put":
            paper = Paper(draw.text(self.rng, self.rng.randint(1, 4)))
            self.board.begin(key, Standing(lists, (paper,)))
            (outcome,) = await documents.put([new_document(key, paper, lists)])
            assert outcome.status in ("added", "updated"), outcome
        elif does == "grant":
            self.board.begin(key, replace(before, lists=lists))
            await documents.grant(*key, access(key, lists))
        else:
            self.board.begin(key, None)
            await documents.delete(*key)

    async def read(self) -> None:
        """Ask whichever versions are open, all the while."""
        while self.working:
            await asyncio.sleep(0.01)
            for index in self.world.board.retained():
                serving = index is self.world.board.stable
                held, began = {key: list(states) for key, states in self.board.possible.items()}, len(self.board.begun)
                try:
                    findings = await ask(index, WHO, draw.question(self.rng), ANYTHING)
                except IndexBehind:
                    self.refusals += 1
                    continue
                for key, state in self.board.begun[began:]:
                    held.setdefault(key, [None]).append(state)
                self.judge(texts_found(findings), held, serving=serving)
                self.reads += 1

    def judge(self, found: dict[str, str], held: dict[Key, list[State]], *, serving: bool) -> None:
        assert found.keys() <= {name for _, name in held}
        for (_, name), states in held.items():
            allowed = {shown(state) for state in states} | (set() if serving else {None})
            assert found.get(name) in allowed, f"{name}: {found.get(name)!r} is not in {allowed}"

    async def flip(self) -> None:
        """Build, flip and roll back as fast as it goes."""
        await self.world.build(recipe(25))
        while self.working:
            await self.world.flip()
            await asyncio.sleep(0.02)
            await self.world.roll_back()
            await asyncio.sleep(0.02)
            self.flips += 1

    async def follow(self) -> None:
        """As a gateway does in the background."""
        while self.working:
            for index in self.world.board.retained():
                await index.follow()
            await asyncio.sleep(0.02)


def shown(state: State) -> str | None:
    """The text that is found of a document in this state."""
    return state.paper.text if state is not None and state.lists.allow & WHO.grants else None


@pytest.mark.parametrize("seconds", [0.0, 0.02], ids=["embedded", "far away"])
async def test_every_reader_finds_each_document_as_it_was_at_one_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """With parts over a network, documents change between what the store says and what the catalog says."""

    async def score(self: EdgeStore, query: HybridQuery, access: AccessFilter, narrowing: Narrowing) -> Legs:
        legs = await embedded(self, query, access, narrowing)
        await asyncio.sleep(seconds)
        return legs

    embedded = EdgeStore.score
    monkeypatch.setattr(EdgeStore, "score", score)
    async with open_world(tmp_path, Oracle(datetime.now(UTC).date())) as world:
        together = Together(world, random.Random(11))
        keys = [("acme", f"papers/{n}.txt") for n in range(WRITERS * EACH)]
        async with asyncio.TaskGroup() as tasks:
            for n in range(WRITERS):
                tasks.create_task(together.write(keys[n * EACH : (n + 1) * EACH]))
            for work in (together.read(), together.read(), together.flip(), together.follow()):
                tasks.create_task(work)
        await world.follow()
        for index in world.board.retained():
            await index.require_whole()
            found = texts_found(await ask(index, WHO, "word1", ANYTHING))
            due = {key[1]: shown(states[-1]) for key, states in together.board.possible.items()}
            assert found == {name: text for name, text in due.items() if text is not None}
        assert together.reads > CHANGES
        assert together.flips > 1
