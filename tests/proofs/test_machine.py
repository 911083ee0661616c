"""The state machine: everything that happens to documents and index versions, in any order, against the oracle."""

import asyncio
import multiprocessing
import random
from collections.abc import Coroutine, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.proofs import draw
from tests.proofs.oracle import Key, Lists, Oracle, Paper, Who
from tests.proofs.residue import residue
from tests.proofs.world import NEW, Pins, World, open_world, recipe, scratch

STEPS, SHARES, ERASURES = 40, 2, 2
TENANTS, NAMES, GROUPS = ["acme", "other"], [f"papers/{n}.txt" for n in range(5)], ["a", "b", "c"]
BUDGETS = [12, 25, 40, 60]  # one, two, three or five sections to a chunk
Answer = TypeVar("Answer")

keys = st.tuples(st.sampled_from(TENANTS), st.sampled_from(NAMES))
grants = st.sampled_from([*(f"group:{one}" for one in GROUPS), "user:u0", "user:u1"])
some_lists = st.builds(Lists, st.frozensets(grants, min_size=1, max_size=3), st.frozensets(grants, max_size=1))
expiries = st.sampled_from([None, None, None, timedelta(days=-1), timedelta(days=0), timedelta(days=2)])


class Machine(RuleBasedStateMachine):
    """After each step: every caller finds what the oracle permits, with the current words, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = ExitStack()
        self.folder = self.stack.enter_context(scratch())
        self.oracle = Oracle(datetime.now(UTC).date())
        self.opened = AsyncExitStack()
        self.rng = random.Random(0)
        self.erasures = 0
        self.open(NEW)

    @property
    def there(self) -> list[Key]:
        """What there is now."""
        return sorted(self.oracle.standing)

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Each step to its end before the next."""
        return self.runner.run(work)

    def open(self, pins: Pins) -> None:
        """Open the data folder as a starting process does; what follows in the background is left out."""
        self.opened = AsyncExitStack()
        self.world: World = self.run(self.opened.enter_async_context(open_world(self.folder, self.oracle, pins)))

    def a_key(self, data: st.DataObject) -> Key:
        """One of the documents that there are."""
        return data.draw(st.sampled_from(self.there))

    def text(self) -> str:
        """One that never was before."""
        return draw.text(self.rng, self.rng.randint(1, 3))

    @initialize(keys=st.lists(keys, min_size=2, max_size=4, unique=True), lists=some_lists)
    def begin(self, keys: list[Key], lists: Lists) -> None:
        """A few documents to begin with."""
        self.run(self.world.put_all([(key, Paper(self.text()), lists) for key in keys]))

    @rule(key=keys, lists=some_lists, older=st.sampled_from([None, None, *NAMES]), expiry=expiries)
    def ingest(self, key: Key, lists: Lists, older: str | None, expiry: timedelta | None) -> None:
        """A document comes, or comes again with everything changed."""
        expires = None if expiry is None else self.oracle.today + expiry
        supersedes = None if older == key[1] else older
        self.run(self.world.put(key, Paper(self.text(), supersedes=supersedes, expires=expires), lists))

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        """New words for the same readers."""
        key = self.a_key(data)
        self.run(self.world.put(key, Paper(self.text()), self.oracle.standing[key].lists))

    @precondition(lambda self: self.there)
    @rule(data=st.data(), lists=some_lists)
    def hand_in_again(self, data: st.DataObject, lists: Lists) -> None:
        """The same words for other readers, or nothing new at all."""
        key = self.a_key(data)
        standing = self.oracle.standing[key]
        self.run(self.world.put(key, standing.paper, data.draw(st.sampled_from([standing.lists, lists]))))

    @precondition(lambda self: self.there)
    @rule(data=st.data(), lists=some_lists)
    def move(self, data: st.DataObject, lists: Lists) -> None:
        """Into the other tenant: it goes here before it is there."""
        key = self.a_key(data)
        paper = self.oracle.standing[key].paper
        self.run(self.world.delete(key))
        self.run(self.world.put((TENANTS[key[0] == TENANTS[0]], key[1]), paper, lists))

    @precondition(lambda self: self.there)
    @rule(data=st.data(), lists=some_lists)
    def grant(self, data: st.DataObject, lists: Lists) -> None:
        """Other readers."""
        self.run(self.world.grant(self.a_key(data), lists))

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        """One reader fewer, and perhaps none left."""
        key = self.a_key(data)
        lists = self.oracle.standing[key].lists
        denied = data.draw(grants)
        self.run(self.world.grant(key, Lists(lists.allow - {denied}, lists.deny | {denied})))

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def revert(self, data: st.DataObject) -> None:
        """Earlier words for the readers of now."""
        self.run(self.world.revert(self.a_key(data)))

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """Gone, whichever version answers."""
        self.run(self.world.delete(self.a_key(data)))

    @precondition(lambda self: self.there and self.erasures < ERASURES)
    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        """Gone, and none of its words is left in any file."""
        key = self.a_key(data)
        own = self.oracle.marks(key)
        receipt = self.run(self.world.erase(key)).receipt
        assert all(one.scanned and not one.found for one in receipt.stores), receipt
        assert residue(self.folder, own) == []
        self.erasures += 1

    @rule(budget=st.sampled_from(BUDGETS))
    def build(self, budget: int) -> None:
        """Another recipe, beside what is open; the candidate before it is closed and stays on disk."""
        board, wanted = self.world.board, recipe(budget)
        if wanted not in (one.recipe for one in board.retained()):
            self.run(self.world.build(wanted))

    @precondition(lambda self: self.world.board.candidate is not None)
    @rule()
    def flip(self) -> None:
        """The candidate takes traffic."""
        self.run(self.world.flip())

    @precondition(lambda self: self.world.board.previous is not None)
    @rule()
    def roll_back(self) -> None:
        """The version before takes traffic again."""
        self.run(self.world.roll_back())

    @rule(follows=st.booleans())
    def restart(self, follows: bool) -> None:
        """Everything is closed and opened again; versions that take no traffic may catch up later."""
        pins = self.world.board.pins()
        self.run(self.opened.aclose())
        self.open(pins)
        self.run(self.world.follow() if follows else self.world.board.stable.follow())

    @rule()
    def follow(self) -> None:
        """Versions that take no traffic catch up, and then answer like the one that does."""
        self.run(self.world.follow())
        for who in self.callers():
            self.run(self.world.check_followed(who, draw.question(self.rng)))

    @invariant()
    def nothing_is_shown_but_what_may_be(self) -> None:
        for who in self.callers():
            self.run(self.world.check(who, draw.question(self.rng)))

    def callers(self) -> Sequence[Who]:
        """Two who have every group, and one who has some."""
        everybody = [Who(tenant, "u9", frozenset(GROUPS)) for tenant in TENANTS]
        some = frozenset(self.rng.sample(GROUPS, self.rng.randint(0, 2)))
        return [*everybody, Who(self.rng.choice(TENANTS), self.rng.choice(["u0", "u1", "u2"]), some)]

    def teardown(self) -> None:
        try:
            self.run(self.opened.aclose())
        finally:
            self.runner.close()
            self.stack.close()


def machine(first: int, runs: int, steps: int) -> int:
    """Runs of the machine in a process of its own; how many."""
    tests = settings(
        max_examples=runs,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    run_state_machine_as_test(seed(first)(Machine), settings=tests)
    return runs


def test_any_order_of_events_shows_what_may_be_shown(pytestconfig: pytest.Config) -> None:
    runs = pytestconfig.getoption("--machine")
    with ProcessPoolExecutor(SHARES, multiprocessing.get_context("spawn")) as processes:
        done = processes.map(machine, range(SHARES), [-(-runs // SHARES)] * SHARES, [STEPS] * SHARES)
        assert sum(done) >= runs
