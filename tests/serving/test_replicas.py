"""Several replicas of an engine, each a server of its own that fails in its way: what callers see of that."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web

from serving.errors import (
    EngineAborted,
    EngineBusy,
    EngineGone,
    EngineRefused,
    EngineUnavailable,
    GenerationError,
    GenerationTimeout,
)
from serving.generator import Finish, GenerationRequest, Message, Piece, Sampling, Text
from serving.replica import Replica
from serving.replicas import ReplicatedGenerator
from serving.scripted_server import Behaviour, Mode, scripted_app
from serving.vllm_client import Timeouts, VllmGenerator
from tests.conftest import free_port

MODEL = "scripted"
PATIENT = Timeouts(connect=1, first_piece=5, between_pieces=5, total=10)
REQUEST = GenerationRequest(
    model=MODEL,
    messages=(Message("user", "[1] Refunds take 45 days. How long do refunds take?"),),
    max_tokens=32,
    sampling=Sampling(),
    response_format=None,
    cache_salt=None,
    request_id="req-1",
)


@dataclass
class News:
    """What is heard of the replicas."""

    out: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    retries: list[str] = field(default_factory=list)

    def opened(self, replica: str, served: str, error: GenerationError) -> None:
        self.out.add(replica)

    def closed(self, replica: str, served: str) -> None:
        self.out.remove(replica)

    def forgotten(self, replica: str, served: str) -> None:
        self.out.remove(replica)
        self.lost.add(replica)

    def retried(self, error: GenerationError) -> None:
        self.retries.append(type(error).__name__)


class Fleet:
    """Replicas by number, each of which can die, and come back on its port as something else."""

    def __init__(self, count: int) -> None:
        self.ports = [free_port() for _ in range(count)]
        self.news = News()
        self.asked: Counter[int] = Counter()
        self._runners: dict[int, web.AppRunner] = {}
        replicas = {
            str(number): VllmGenerator(f"http://127.0.0.1:{port}", timeouts=PATIENT, connections=20)
            for number, port in enumerate(self.ports)
        }
        self.generator = ReplicatedGenerator(replicas, most=16, heard=self.news)

    async def start(self, number: int, mode: Mode = "ok", *, model: str = MODEL, delay: float = 0.0) -> None:
        app = scripted_app(Behaviour(model, tokens=8, mode=mode, delay=delay))

        async def count(request: web.Request, _: web.StreamResponse) -> None:
            if request.method == "POST" and request.headers["x-request-id"] != "probe":
                self.asked[number] += 1

        app.on_response_prepare.append(count)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.ports[number]).start()
        self._runners[number] = runner

    async def kill(self, number: int) -> None:
        await self._runners.pop(number).cleanup()

    async def close(self) -> None:
        await self.generator.close()
        for number in list(self._runners):
            await self.kill(number)

    async def ask(self, **changes: object) -> list[Piece]:
        async with self.generator.generate(replace(REQUEST, **changes)) as pieces:  # type: ignore[arg-type]  # by name
            return [piece async for piece in pieces]


@asynccontextmanager
async def fleet(*modes: Mode, delay: float = 0.0) -> AsyncIterator[Fleet]:
    made = Fleet(len(modes))
    for number, mode in enumerate(modes):
        await made.start(number, mode, delay=delay)
    try:
        yield made
    finally:
        await made.close()


def is_whole(pieces: list[Piece]) -> bool:
    return isinstance(pieces[-1], Finish) and all(isinstance(piece, Text) for piece in pieces[:-1])


async def until(news: News, out: Iterable[str]) -> None:
    for _ in range(250):
        if news.out == set(out):
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"{news.out} are out")


async def test_each_request_goes_to_the_least_busy() -> None:
    async with fleet("ok", "ok", "ok", delay=0.01) as three:
        await asyncio.gather(*(three.ask() for _ in range(12)))
        assert three.asked == {0: 4, 1: 4, 2: 4}
        held = three.generator.generate(REQUEST)
        async with held as pieces:
            await anext(pieces)
            await three.ask()
            await three.ask()
        assert sorted(three.asked.values()) == [5, 5, 5], "nobody is asked beside the one that works"


@pytest.mark.parametrize("mode", ["unavailable", "refuses-model"])
async def test_one_that_fails_before_its_first_word_costs_nobody_an_answer(mode: str) -> None:
    async with fleet("ok", "ok") as two:
        await two.kill(0)
        if mode == "unavailable":
            await two.start(0, "unavailable")
        else:
            await two.start(0, model="another")
        answers = [await two.ask() for _ in range(8)]
        assert all(map(is_whole, answers))
        assert len(two.news.retries) == 1, "after that it is left alone"
        assert two.asked == {0: 1, 1: 8}


async def test_one_that_dies_is_left_alone_and_found_again_without_anybody_waiting_for_it() -> None:
    async with fleet("ok", "ok") as two:
        await two.kill(0)
        assert all(map(is_whole, [await two.ask() for _ in range(6)]))
        assert two.news.out == {"0"}
        assert two.news.retries == ["EngineGone"]
        await two.start(0)
        await until(two.news, ())
        two.asked.clear()
        await asyncio.gather(*(two.ask() for _ in range(6)))
        assert two.asked == {0: 3, 1: 3}


async def test_trials_of_one_that_came_back_are_not_answers_to_callers() -> None:
    """It is well only when it lists the model and answers one token; one that aborts everything never is."""
    async with fleet("ok", "ok") as two:
        await two.kill(0)
        await two.ask()
        await two.ask()
        await two.start(0, "abort")
        await asyncio.sleep(1.5)
        two.asked.clear()
        assert all(map(is_whole, [await two.ask() for _ in range(4)]))
        assert two.asked == {1: 4}


async def test_what_is_aborted_before_its_first_word_is_answered_elsewhere() -> None:
    """As a vLLM does that shuts down: 200, and `abort` with nothing said."""
    async with fleet("ok", "drain") as two:
        for _ in range(12):
            assert is_whole(await two.ask())
        assert two.news.out == {"1"}
        assert two.news.retries == ["EngineAborted"] * 3


async def test_nothing_is_sent_again_once_a_word_was_said() -> None:
    async with fleet("cut") as one:
        async with one.generator.generate(REQUEST) as pieces:
            assert isinstance(await anext(pieces), Text)
            with pytest.raises(EngineAborted):
                await anext(pieces)
        assert one.asked == {0: 1}
        assert one.news.retries == []


async def test_a_request_that_is_no_good_is_nobodys_failure() -> None:
    async with fleet("ok", "ok") as two:
        for _ in range(6):
            with pytest.raises(EngineRefused) as refused:
                await two.ask(max_tokens=0)
            assert refused.value.status == 400
        assert two.news == News()
        assert is_whole(await two.ask())


async def test_with_all_gone_nothing_is_waited_for() -> None:
    async with fleet("ok", "ok") as two:
        await two.kill(0)
        await two.kill(1)
        with pytest.raises(EngineUnavailable):
            await two.ask()
        assert two.generator.out(MODEL)
        assert not two.generator.out("another")
        with pytest.raises(EngineUnavailable, match="no replica") as told:
            await two.ask()
        assert told.value.retry_after is not None
        assert 1 <= told.value.retry_after <= 10
        assert len(two.news.retries) == 1


async def test_a_full_queue_is_left_alone_for_as_long_as_it_says_and_is_not_out() -> None:
    async with fleet("unavailable") as one:
        for _ in range(3):
            with pytest.raises(EngineBusy) as busy:
                await one.ask()
            assert busy.value.retry_after is not None
            assert 6 < busy.value.retry_after <= 7
        assert one.asked == {0: 1}
        assert not one.generator.out(MODEL)


async def test_a_replica_has_no_more_at_once_than_it_may() -> None:
    async with fleet("ok", delay=0.1) as one:
        asked = await asyncio.gather(*(one.ask() for _ in range(20)), return_exceptions=True)
        assert sum(isinstance(answer, EngineBusy) for answer in asked) == 4
        assert one.asked == {0: 16}
        assert is_whole(await one.ask()), "all places were given back"


async def test_a_caller_whose_time_is_over_says_nothing_of_the_replica() -> None:
    async with fleet("hang") as one:
        for _ in range(6):
            with pytest.raises(GenerationTimeout) as passed:
                await one.ask(deadline=asyncio.get_running_loop().time() + 0.05)
            assert passed.value.phase == "total"
        assert not one.generator.out(MODEL)


async def test_a_check_asks_all_and_is_content_with_one() -> None:
    async with fleet("ok", "ok") as two:
        await two.kill(0)
        await two.generator.check(MODEL)
        assert two.news.out == {"0"}
        await two.kill(1)
        with pytest.raises(EngineUnavailable):
            await two.generator.check(MODEL)
        await two.start(1, model="another")
        with pytest.raises(EngineRefused):
            await two.generator.check(MODEL)


async def test_under_failures_a_tenth_more_is_sent_at_most() -> None:
    """Two that abort every request, and one that is well: what is asked of them all, over what callers asked."""
    async with fleet("drain", "drain", "ok") as three:
        for _ in range(300):
            assert is_whole(await three.ask())
        assert sum(three.asked.values()) <= 1.1 * 300


@dataclass
class Told:
    """A replica that does as it is told, at once: what it takes passes on a clock of the test's."""

    news: News = field(default_factory=News)
    now: float = 100.0
    first_word: float = 0.2
    mode: str = "ok"
    failing: GenerationError | None = None
    asked: int = 0

    def __post_init__(self) -> None:
        self.replicas = ReplicatedGenerator({"0": self}, most=16, heard=self.news, clock=lambda: self.now)

    @asynccontextmanager
    async def generate(self, request: GenerationRequest) -> AsyncIterator[AsyncIterator[Piece]]:
        self.asked += 1
        if self.failing is not None:
            raise self.failing
        yield self._pieces(request)

    async def check(self, model: str) -> None:
        if self.failing is not None:
            raise self.failing

    def out(self, model: str) -> bool:
        return False

    async def close(self) -> None:
        pass

    async def ask(self, patience: float = 60.0) -> list[Piece]:
        """As a caller who waits so long."""
        async with self.replicas.generate(replace(REQUEST, deadline=patience)) as pieces:
            return [piece async for piece in pieces]

    async def _pieces(self, request: GenerationRequest) -> AsyncIterator[Piece]:
        if self.mode == "hangs":
            self.now += request.deadline
            raise GenerationTimeout("total", request.deadline)
        self.now += self.first_word
        yield Text("Yes")
        yield Finish("stop", 1, 1, 0)


@asynccontextmanager
async def told() -> AsyncIterator[Told]:
    made = Told()
    try:
        yield made
    finally:
        await made.replicas.close()


async def hang_up(engine: Told, seconds: float, times: int) -> None:
    engine.mode = "hangs"
    for _ in range(times):
        with pytest.raises((GenerationTimeout, EngineUnavailable)):
            await engine.ask(patience=seconds)


async def test_one_that_hangs_is_left_alone_whoevers_time_it_is_that_ends() -> None:
    async with told() as engine:
        for _ in range(20):
            await engine.ask()
        await hang_up(engine, 8.0, 10)
        assert engine.news.out == {"0"}


async def test_who_waits_less_than_a_first_word_may_take_has_nobody_left_alone() -> None:
    async with told() as engine:
        await hang_up(engine, 8.0, 20)
        assert not engine.news.out, "none has come yet: it may be warming up"
        engine.mode, engine.first_word = "ok", 1.0
        for _ in range(20):
            await engine.ask()
        await hang_up(engine, 8.0, 30)
        assert not engine.news.out
        await hang_up(engine, 10.0, 10)
        assert engine.news.out == {"0"}


async def test_one_that_says_something_to_others_does_not_hang() -> None:
    async with told() as engine:
        for _ in range(20):
            await engine.ask()
        for _ in range(20):
            async with engine.replicas.generate(REQUEST):  # and is never heard
                for _ in range(20):
                    engine.now += 1.0
                    engine.mode = "ok"
                    await engine.ask()
        assert not engine.news.out


async def test_one_whose_askers_hang_up_without_a_word_is_left_alone() -> None:
    async with told() as engine:
        for _ in range(20):
            await engine.ask()
        for _ in range(10):
            async with engine.replicas.generate(REQUEST):
                engine.now += 6.0
        assert engine.news.out == {"0"}


async def test_a_queue_that_is_full_without_any_work_of_ours_is_none() -> None:
    async with told() as engine:
        await engine.ask()
        engine.failing = EngineBusy("503")
        for _ in range(5):
            assert not engine.news.out
            with pytest.raises(EngineBusy):
                await engine.ask()
            engine.now += 0.3
        assert engine.news.out == {"0"}
        with pytest.raises(EngineUnavailable, match="no replica"):
            await engine.ask()


async def test_one_that_is_full_of_our_work_is_well() -> None:
    async with told() as engine:
        async with engine.replicas.generate(REQUEST):
            engine.failing = EngineBusy("503")
            for _ in range(20):
                with pytest.raises(EngineBusy):
                    await engine.ask()
                engine.now += 0.3
        assert not engine.news.out


async def test_a_trial_that_meets_a_full_queue_finds_it_well() -> None:
    async with told() as engine:
        engine.failing = EngineGone("nobody")
        with pytest.raises(EngineGone):
            await engine.ask()
        assert engine.news.out == {"0"}
        engine.failing = EngineBusy("503")
        engine.now += 1.0
        await until(engine.news, ())
        assert not engine.replicas.out(MODEL)


async def test_one_that_is_gone_is_not_asked_twice_for_one_answer() -> None:
    async with told() as engine:
        engine.failing = EngineGone("it took no connection")
        with pytest.raises(EngineGone):
            await engine.ask()
        assert engine.asked == 1


async def test_a_model_that_nobody_asks_for_is_forgotten_and_not_said_to_be_back() -> None:
    async with told() as engine:
        engine.failing = EngineGone("nobody")
        with pytest.raises(EngineGone):
            await engine.ask()
        engine.now += 601
        await until(engine.news, ())
        assert engine.news.lost == {"0"}


async def test_that_one_lacks_the_model_is_not_what_callers_are_told_of_another_that_is_gone() -> None:
    async with fleet("ok", "ok") as two:
        await two.kill(0)
        await two.kill(1)
        await two.start(1, model="another")
        with pytest.raises(EngineGone):
            await two.ask()
        assert two.generator.out(MODEL)


def test_patience_follows_what_first_words_take() -> None:
    now = 0.0
    replica = Replica("0", Told(), lambda: now)
    assert replica.patience(60.0) == 60.0
    for first_word in (0.1, 0.2, 2.0, 2.0, 9.0):
        now = first_word
        replica.speaks(0.0)
    assert replica.patience(60.0) == 20.0
    assert replica.patience(10.0) == 10.0
