"""kill -9 at any moment: nothing acknowledged is lost, nothing is half published, nothing leaks."""

import asyncio
import hashlib
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import get_args

import pytest

from retrieval.catalog import Catalog
from tests.proofs import draw, writer
from tests.proofs.oracle import Oracle, Paper, Who
from tests.proofs.residue import residue
from tests.proofs.world import NEW, World, open_world, scratch
from tests.proofs.writer import Change, Done, Kind, note

SHARES = 2
FORK = multiprocessing.get_context("forkserver")


@dataclass(slots=True)
class Toll:
    """How many changes were acknowledged, and in the middle of what the writer was killed."""

    acknowledged: Counter[str] = field(default_factory=Counter)
    cut_off: Counter[str] = field(default_factory=Counter)


class Trial:
    """One data folder, whose writer is killed again and again."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder = folder
        self.rng = rng
        self.oracle = Oracle(datetime.now(UTC).date())
        self.pins = NEW
        self.toll = Toll()
        self.erased: set[str] = set()

    def kill(self) -> None:
        """Let a writer work for a moment; look at what it left."""
        pending = self.pursue(self.until_killed())
        after = deepcopy(self.oracle)
        if pending is not None:
            note(after, pending)
        asyncio.run(self.reopen(pending, after))

    def until_killed(self) -> list[Change | Done]:
        """What a writer said before it was killed: somewhere in what it does next, at times while it still starts."""
        heard, told = FORK.Pipe(duplex=False)
        arguments = (self.folder, self.pins, self.oracle, self.rng.getrandbits(32), told)
        process = FORK.Process(target=writer.write, args=arguments)
        process.start()
        told.close()
        said: list[Change | Done] = [heard.recv() for _ in range(self.rng.choice([0, *range(20)]))]
        time.sleep(self.rng.uniform(0, 0.05 if said else 0.2))
        assert process.is_alive(), "the writer goes on until it is killed"
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        return [*said, *rest(heard)]

    def pursue(self, said: Sequence[Change | Done]) -> Change | None:
        """Note what was acknowledged; the change that was not."""
        pending: Change | None = None
        for one in said:
            if isinstance(one, Change):
                pending = one
                continue
            self.pins = one.pins
            if pending is not None:
                self.acknowledge(pending)
                pending = None
        self.toll.cut_off[pending.kind if pending else "between"] += 1
        return pending

    def acknowledge(self, change: Change) -> None:
        """From now on it holds, whatever happens."""
        if change.kind == "erase":
            self.erased |= self.oracle.marks(change.key)
        note(self.oracle, change)
        self.toll.acknowledged[change.kind] += 1

    async def reopen(self, pending: Change | None, after: Oracle) -> None:
        """At once every caller finds the state before or after; when all has caught up, all callers the same one."""
        everybody = [Who(tenant, "u0", frozenset(writer.GROUPS)) for tenant in writer.TENANTS]
        callers = [*everybody, *(draw.who(self.rng, writer.TENANTS, writer.GROUPS) for _ in range(3))]
        marks = self.oracle.marks(pending.key) if pending is not None and pending.kind == "erase" else set()
        async with open_world(self.folder, self.oracle, self.pins) as world:
            for who in callers:
                await self.find(world, who, after)
            await world.follow()
            world.oracle = after if await stands(world.catalog, after) else self.oracle
            assert await stands(world.catalog, world.oracle), f"neither before nor after {pending}"
            for who in callers:
                await world.check_followed(who, draw.question(self.rng))
            for index in world.board.retained():
                await index.require_whole()
            if marks and world.oracle is after and pending is not None:
                await world.eraser.erase(*pending.key)
                self.erased |= marks
            self.oracle = world.oracle
        if self.erased:
            assert residue(self.folder, self.erased) == []
            self.erased = set()

    async def find(self, world: World, who: Who, after: Oracle) -> None:
        """Before anything is mended."""
        allowed = [texts(self.oracle, who), texts(after, who)]
        for index in world.board.retained():
            found = await world.found(index, who, draw.question(self.rng))
            if index is world.board.stable:
                assert found is None or found in allowed, f"neither before nor after: {found} is not in {allowed}"
            else:
                assert found is None or any(found.items() <= one.items() for one in allowed), "leaked or half published"


async def stands(catalog: Catalog, oracle: Oracle) -> bool:
    """Whether the catalog has exactly the oracle's documents."""
    kept = {(one.access.tenant, one.id): one for one in await catalog.listing(None)}
    told = {
        key: (one.version, one.access.allow, one.access.deny, one.supersedes, one.expires) for key, one in kept.items()
    }
    due = {
        key: (version(one.paper), one.lists.allow, one.lists.deny, one.paper.supersedes, one.paper.expires)
        for key, one in oracle.standing.items()
    }
    return told == due


def version(paper: Paper) -> str:
    return f"sha256:{hashlib.sha256(paper.text.encode()).hexdigest()}"


def texts(oracle: Oracle, who: Who) -> dict[str, str]:
    return {name: paper.text for name, paper in oracle.shown(who).items()}


def rest(pipe: Connection) -> Iterator[Change | Done]:
    """All that came through before the other end was gone."""
    while True:
        try:
            yield pipe.recv()
        except EOFError:
            return


def trial(seed: int, kills: int) -> Toll:
    """Kills of writers of one data folder."""
    FORK.set_forkserver_preload([writer.__name__])
    with scratch() as folder:
        one = Trial(folder, random.Random(seed))
        for _ in range(kills):
            one.kill()
        return one.toll


def test_nothing_acknowledged_is_lost_and_nothing_is_half_published(pytestconfig: pytest.Config) -> None:
    kills = pytestconfig.getoption("--crash")
    with ProcessPoolExecutor(SHARES, multiprocessing.get_context("spawn")) as processes:
        tolls = list(processes.map(trial, range(SHARES), [-(-kills // SHARES)] * SHARES))
    acknowledged, cut_off = sum_of(tolls)
    assert sum(cut_off.values()) >= kills
    assert cut_off["between"] < kills / 2, "most writers are killed in the middle of something"
    assert acknowledged.total() > kills, "and after some work"
    if kills >= 100:
        assert acknowledged.keys() == set(get_args(Kind)), "everything that a writer can do was done"


def sum_of(tolls: Iterable[Toll]) -> tuple[Counter[str], Counter[str]]:
    acknowledged, cut_off = Counter[str](), Counter[str]()
    for one in tolls:
        acknowledged += one.acknowledged
        cut_off += one.cut_off
    return acknowledged, cut_off
