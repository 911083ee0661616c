"""The duel: random callers, documents and changes over the whole finding story, against an oracle without an engine."""

import asyncio
import multiprocessing
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import pytest

from retrieval.acl import access_filter
from retrieval.findings import Findings
from retrieval.search import Finder
from retrieval.store import Narrowing
from tests.proofs import draw
from tests.proofs.oracle import Key, Oracle, Paper, Who
from tests.proofs.world import ANYTHING, World, access, open_world, principal, scratch

TENANTS = ["acme", "other", "third"]
SECTIONS, LIMIT = 3, 8
SHARES = 2  # processes


@dataclass(slots=True)
class Tally:
    """What a duel came to: how many queries, passages, full results, changes, and refusals of a lagging index."""

    queries: int = 0
    passages: int = 0
    full: int = 0
    narrowed: int = 0
    changes: int = 0
    refusals: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        names = self.__slots__
        return Tally(**{name: getattr(self, name) + getattr(other, name) for name in names})


class Duel:
    """One world, one seed."""

    def __init__(self, world: World, rng: random.Random, documents: int) -> None:
        self.world = world
        self.rng = rng
        self.documents = documents
        self.tally = Tally()
        self.lagging: set[str] = set()

    async def fight(self, queries: int, between: int) -> Tally:
        """A change after every `between` queries, all of them answered as the oracle says."""
        await self.populate()
        finder = self.world.board.stable.finder()
        while self.tally.queries < queries:
            if self.tally.queries % between == between - 1:
                await self.change()
            await self.query(finder)
        return self.tally

    async def populate(self) -> None:
        keys = [(self.rng.choice(TENANTS), f"doc-{n}") for n in range(self.documents)]
        for start in range(0, self.documents, 50):
            handed_in = [(key, self.paper(key), draw.lists(self.rng)) for key in keys[start : start + 50]]
            outcomes = await self.world.put_all(handed_in)
            assert {one.chunks for one in outcomes} == {SECTIONS}, "a section is a chunk: the oracle counts on it"

    async def query(self, finder: Finder) -> None:
        who = draw.who(self.rng, [*TENANTS, "nobody"])
        narrowing = self.narrowing()
        question = draw.question(self.rng)
        findings = await finder.find(question, access_filter(principal(who)), narrowing, limit=LIMIT)
        due = {name: one for name, one in self.world.oracle.shown(who).items() if inside(one, narrowing)}
        self.judge(findings, due, who)
        self.tally.queries += 1
        self.tally.passages += len(findings.passages)
        self.tally.full += len(findings.passages) == LIMIT
        self.tally.narrowed += narrowing is not ANYTHING

    def judge(self, findings: Findings, due: dict[str, Paper], who: Who) -> None:
        told = f"in query {self.tally.queries} for {who}"
        assert {found.passage.ref.document for found in findings.passages} <= due.keys(), f"leak {told}"
        assert len(findings.passages) == min(LIMIT, SECTIONS * len(due)), f"under-filled {told}"
        assert len({found.passage.ref for found in findings.passages}) == len(findings.passages), f"twice {told}"
        for found in findings.passages:
            assert found.passage.text in due[found.passage.ref.document].text.split("\n\n"), f"other words {told}"
        assert findings.violations == 0, f"the index handed out what its own fields forbid {told}"

    def narrowing(self) -> Narrowing:
        """Mostly none."""
        if self.rng.random() < 0.7:
            return ANYTHING
        after = date(2026, 1, 1) + timedelta(days=self.rng.randrange(300)) if self.rng.random() < 0.5 else None
        return Narrowing(tuple(self.rng.sample(draw.CATEGORIES, self.rng.randint(0, 2))), updated_after=after)

    async def change(self) -> None:
        """Something happens to some document, and is true everywhere when it is acknowledged."""
        key = self.rng.choice(sorted(self.world.oracle.standing))
        happens = self.rng.choices(
            [self.grant, self.lag, self.update, self.describe, self.delete, self.add], [6, 4, 3, 2, 2, 3]
        )[0]
        await happens(key)
        self.tally.changes += 1

    async def grant(self, key: Key) -> None:
        await self.world.grant(key, draw.lists(self.rng))
        await self.settle(key[0])

    async def lag(self, key: Key) -> None:
        """Access is taken away in the catalog alone, as if the index had not heard of it yet."""
        known = self.world.oracle.standing[key].lists
        narrower = replace(known, deny=known.deny | draw.lists(self.rng).allow)
        await self.world.catalog.grant(*key, access(key, narrower))
        self.world.oracle.grant(key, narrower)
        self.lagging.add(key[0])

    async def update(self, key: Key) -> None:
        await self.world.put(key, self.paper(key), self.world.oracle.standing[key].lists)
        await self.settle(key[0])

    async def describe(self, key: Key) -> None:
        """The same words, described otherwise: perhaps past its day, perhaps replacing another."""
        standing = self.world.oracle.standing[key]
        await self.world.put(key, replace(self.paper(key), text=standing.paper.text), draw.lists(self.rng))
        await self.settle(key[0])

    async def delete(self, key: Key) -> None:
        await self.world.delete(key)
        await self.settle(key[0])

    async def add(self, _key: Key) -> None:
        """A new document, or one that was deleted and comes back."""
        key = (self.rng.choice(TENANTS), f"doc-{self.rng.randrange(2 * self.documents)}")
        await self.world.put(key, self.paper(key), draw.lists(self.rng))
        await self.settle(key[0])

    def paper(self, key: Key) -> Paper:
        others = [one for one in self.world.oracle.documents(key[0]) if one != key[1]]
        return draw.paper(self.rng, self.world.oracle.today, others, SECTIONS)

    async def settle(self, tenant: str) -> None:
        """An index that missed a change must not answer once a later one requires it; then it catches up."""
        if tenant in self.lagging:
            required = (await self.world.catalog.sequences())[tenant].required
            applied = (await self.world.catalog.marks(self.world.board.stable.name))[tenant]
            everybody = Who(tenant, "u0", frozenset(draw.GROUPS))
            found = await self.world.found(self.world.board.stable, everybody, draw.question(self.rng))
            assert (found is None) == (applied < required), (
                "a version below the watermark answered, or one above did not"
            )
            self.tally.refusals += found is None
            await self.world.follow()
            self.lagging.discard(tenant)


def inside(paper: Paper, narrowing: Narrowing) -> bool:
    """Whether a caller's own filter lets it pass."""
    if narrowing.category and paper.category not in narrowing.category:
        return False
    after = narrowing.updated_after
    return after is None or (paper.updated is not None and paper.updated >= after)


def duel(seed: int, queries: int, between: int = 100, documents: int = 150, server: str | None = None) -> Tally:
    """A duel in a process of its own."""

    async def fight() -> Tally:
        with scratch() as folder:
            async with open_world(folder, Oracle(datetime.now(UTC).date()), server=server) as world:
                return await Duel(world, random.Random(seed), documents).fight(queries, between)

    return asyncio.run(fight())


def duels(seed: int, queries: int) -> Tally:
    """The same number of queries in as many processes as there are shares."""
    share = -(-queries // SHARES)
    with ProcessPoolExecutor(SHARES, multiprocessing.get_context("spawn")) as processes:
        tallies = list(processes.map(duel, range(seed, seed + SHARES), [share] * SHARES))
    return sum(tallies, Tally())


def require_sense(tally: Tally) -> None:
    """The control: callers did see something, and things did change."""
    assert tally.full > tally.queries / 10
    assert tally.passages > tally.queries
    assert tally.narrowed > tally.queries / 10
    assert tally.changes > tally.queries / 200
    assert tally.refusals > 0


def test_no_leak_and_no_under_filled_result(pytestconfig: pytest.Config) -> None:
    queries = pytestconfig.getoption("--duel")
    tally = duels(20_261_121, queries)
    assert tally.queries >= queries
    require_sense(tally)


@pytest.mark.filterwarnings("ignore:Local mode performs exact")
def test_the_same_in_local_mode_of_the_server() -> None:
    tally = duel(7, 1_000, between=20, documents=30, server=":memory:")
    assert tally.queries == 1_000
    require_sense(tally)
