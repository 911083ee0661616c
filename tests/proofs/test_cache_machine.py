"""The state machine, with answers: whatever happens to documents, none is given again that could not be made now."""

import asyncio
import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test
from structlog.testing import capture_logs

from gateway.answering import Answering
from gateway.answers.events import Delta, Sources, Verdict
from gateway.answers.exchange import Asked, Exchange
from gateway.answers.prompting import Prompting
from gateway.audit import Audit
from gateway.cache.answers import Answers, Freshness
from gateway.cache.erasing import CacheErasure
from gateway.cache.following import Following
from gateway.cache.memory_store import MemoryStore
from gateway.cache.names import Names
from gateway.cache.reusing import Reusing
from gateway.cache.wishes import WISHLESS, Wish
from gateway.caller import Caller
from gateway.limits.concurrency import Concurrency
from gateway.limits.seat import Seat
from gateway.metering import EngineMeter, Tab
from gateway.release import IndexVersion, ModelVersion, ResolvedPins
from gateway.telemetry.metrics import Metrics
from retrieval.live import LiveIndex
from retrieval.store import Narrowing
from serving.generator import GenerationRequest
from serving.scripted import Script, ScriptedGenerator, pieces_of
from tests.gateway.house import pinned_manifest
from tests.proofs.oracle import Who
from tests.proofs.test_machine import ERASURES, SHARES, STEPS, Machine
from tests.proofs.world import Pins, principal

PATIENCE = 60.0
QUESTIONS = ["word1 word2 word3", "word4 word5", "word6  word7"]
MODELS = [pinned_manifest("first"), pinned_manifest("second", passage_order="best_last")]
COLD = Wish(keep=False)
SHRUNK = Phase.generate, Phase.shrink


@dataclass(frozen=True)
class Given:
    """An answer as its caller sees it."""

    cache: str
    passages: tuple[tuple[str, str, str], ...]
    words: str
    verdict: Verdict

    @property
    def said(self) -> tuple[object, ...]:
        """All of it but where it is from."""
        return self.passages, self.words, self.verdict


class Unrecorded:
    """Takes no records: they are another proof's."""

    def admit(self, tenant: str) -> None: ...

    async def keep(self, record: object) -> None: ...

    def write(self, record: object) -> None: ...

    def leave(self) -> None: ...


def quoting(request: GenerationRequest) -> Script:
    """A model that says the first words of the first passage it is shown."""
    lines = request.messages[-1].content.splitlines()
    first = next(n for n, line in enumerate(lines) if line == "--- passage 1 ---")
    return Script(pieces_of(f"{lines[first + 1]} [1]."))


class CacheMachine(Machine):
    """After each step callers ask, some of them what was asked before; nobody may tell that answers are kept."""

    freshness: Freshness = "strict"
    given: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        self.store = MemoryStore(1 << 24)  # as Redis does, it outlives the process
        self.metrics = Metrics()
        self.model = 0
        super().__init__()

    def open(self, pins: Pins) -> None:
        super().open(pins)
        meter = EngineMeter(0.0, self.metrics)
        self.concurrency = Concurrency(64, PATIENCE)
        names = Names(b"a secret that only these tests have")
        answers = Answers(
            self.store, names, self.world.catalog, self.metrics, seconds=3_600.0, freshness=self.freshness
        )

        def tab(one: Exchange) -> Tab:
            return meter.tab("t", one.pins.model_version, one.tab.seat.another())

        reusing = Reusing(answers, self.metrics, tab, PATIENCE)
        audit, catalog = cast("Audit", Unrecorded()), self.world.catalog
        self.answering = Answering(audit, self.metrics, meter, Prompting(), catalog, reusing)
        self.following = Following(self.world.catalog, self.store, self.metrics.cache_purged, self.store.sweep)
        self.run(self.following.look())
        erasure = CacheErasure(self.store, lambda: datetime.now(UTC))
        self.world.eraser = replace(self.world.eraser, others=[erasure])

    @precondition(lambda self: self.there and self.erasures < ERASURES)
    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        """Gone, and no kept answer of the tenant is left."""
        key = self.a_key(data)
        receipt = self.run(self.world.erase(key)).receipt
        assert not [one for one in receipt.stores if one.found], receipt
        assert not [kept for kept in self.store._held.values() if kept.tenant == key[0]]
        self.erasures += 1

    @rule()
    def let_go(self) -> None:
        """What changed takes its answers with it."""
        self.run(self.following.look())

    @rule()
    def flip_model(self) -> None:
        """Another model version takes traffic."""
        self.model = 1 - self.model

    @invariant()
    def nothing_is_shown_but_what_may_be(self) -> None:
        for who in [*self.callers(), *self.callers()]:
            question = self.rng.choice(QUESTIONS)
            given = self.run(self.ask(who, question))
            cold = self.run(self.ask(who, question, COLD))
            self.given[given.cache] += 1
            assert cold.cache == "bypass"
            if given.cache != "hit" or self.freshness == "strict":
                assert given.said == cold.said, f"{given} for {who}, who would be given {cold}"
            self.check_permitted(given, who)

    def check_permitted(self, given: Given, who: Who) -> None:
        """Every passage is one that the oracle permits, with the words of now; and nothing is said of others."""
        shown = self.oracle.shown(who)
        for document, _, text in given.passages:
            assert document in shown, f"{document} leaked to {who}"
            assert text in shown[document].text, f"{document} has other words for {who}"
        permitted = " ".join(paper.text for paper in shown.values()).split()
        assert not [word for word in given.words.split() if word.startswith("zq") and word not in permitted]

    async def ask(self, who: Who, question: str, wish: Wish = WISHLESS) -> Given:
        """What somebody is answered."""
        asked = Asked(question, (), Narrowing())
        deadline = asyncio.get_running_loop().time() + PATIENCE
        caller = Caller(principal(who), "key:proof")
        seat = Seat(self.concurrency, "t", "interactive", lambda _: None)
        exchange = self.answering.open(asked, caller, self.pins(self.world.board.stable), deadline, seat, wish=wish)
        seen: dict[type, Any] = {}
        words = []
        async for event in self.answering.events(exchange):
            seen[type(event)] = event
            if isinstance(event, Delta):
                words.append(event.text)
        sources: Sources = seen[Sources]
        found = [one.passage for one in sources.passages]
        passages = tuple((one.ref.document, one.ref.version, one.text) for one in found)
        return Given(sources.cache, passages, "".join(words), seen[Verdict])

    def pins(self, index: LiveIndex) -> ResolvedPins:
        """The two versions that take traffic."""
        model = ModelVersion(MODELS[self.model], ScriptedGenerator(quoting), lambda text: len(text.split()))
        version = IndexVersion(index.recipe, index.finder())
        return ResolvedPins(version, model, 1, {"index": "DEFAULT", "model": "DEFAULT"})


class ByTime(CacheMachine):
    """Answers are kept whatever changes elsewhere."""

    freshness = "ttl"


def machine(kind: type[CacheMachine], first: int, runs: int, phases: tuple[Phase, ...] = SHRUNK) -> dict[str, int]:
    """Runs of a machine in a process of its own; how often answers were hits and misses."""
    tests = settings(
        max_examples=runs,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
        phases=phases,
        report_multiple_bugs=False,
    )
    kind.given.clear()
    with capture_logs():
        run_state_machine_as_test(seed(first)(kind), settings=tests)
    return dict(kind.given)


class Forgetful(ByTime):
    """The control: one that checks no passage."""

    def open(self, pins: Pins) -> None:
        super().open(pins)

        async def confirms(*_: object) -> bool:
            return True

        cast("Any", self.answering)._reusing._answers.confirms = confirms


@pytest.mark.parametrize("kind", [CacheMachine, ByTime], ids=["strict", "ttl"])
def test_no_hit_is_one_that_a_cold_run_could_not_give(kind: type[CacheMachine], pytestconfig: pytest.Config) -> None:
    runs = -(-pytestconfig.getoption("--machine") // 3)
    with ProcessPoolExecutor(SHARES, multiprocessing.get_context("spawn")) as processes:
        done = processes.map(machine, [kind] * SHARES, range(SHARES), [-(-runs // SHARES)] * SHARES)
        given = sum(map(Counter, done), Counter[str]())
    assert given["hit"] > given["miss"] / 20, "the control: answers are given again"
    assert given["miss"] > 0


def test_the_machine_notices_where_passages_are_not_checked() -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        found = process.submit(machine, Forgetful, 0, 40, (Phase.generate,))
        with pytest.raises(AssertionError, match=r"leaked to|other words for"):
            found.result()
