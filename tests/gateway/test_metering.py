"""What an answer takes of the engine, generation by generation, and whom its time is charged to."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from gateway.limits.concurrency import Concurrency
from gateway.limits.seat import Seat
from gateway.metering import EngineMeter, Tab
from gateway.release import ModelVersion
from gateway.telemetry.metrics import Metrics
from serving.cost import Tokens
from serving.errors import EngineAborted, EngineUnavailable, GenerationError
from serving.generator import Finish, GenerationRequest, Message, Sampling
from serving.manifest import Price
from serving.scripted import Script, ScriptedGenerator
from tests.gateway.house import pinned_manifest

ASKED = GenerationRequest("m", (Message("user", "one two three"),), 8, Sampling(), None, None, "ans_1", prompt_tokens=5)


@dataclass
class Clock:
    """Goes on when told to."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def tab(*pieces: str | GenerationError, refused: GenerationError | None = None, clock: Callable[[], float]) -> Tab:
    generator = ScriptedGenerator(lambda _: Script(pieces, refused))
    model = ModelVersion(pinned_manifest(), generator, lambda text: len(text.split()))
    return EngineMeter(3_600.0, Metrics(["acme"]), clock).tab("acme", model, seat())


def seat() -> Seat:
    return Seat(Concurrency(8, 1.0), "acme", "interactive", lambda _: None)


async def run(one: Tab, leave_after: int | None = None) -> list[object]:
    taken: list[object] = []
    async with one.generate(ASKED) as pieces:
        async for piece in pieces:
            taken.append(piece)
            if len(taken) == leave_after:
                break
    return taken


async def test_what_ends_is_counted_as_the_engine_counts_it() -> None:
    one = tab("Four", " words", " of", " it", clock=Clock())
    assert (await run(one))[-1] == Finish("stop", 3, 4, 0)
    assert one.tokens == Tokens(3, 4)
    await run(one)  # a question's rewriting and its answer
    assert one.tokens == Tokens(6, 8)
    assert one.cost == pytest.approx((6 * 1.0 + 8 * 2.0) / 1e6)


async def test_each_generation_costs_what_the_version_costs_that_spoke() -> None:
    one = tab("Four", " words", " of", " it", clock=Clock())
    await run(one)
    dear = pinned_manifest("dear", price=Price(10.0, 20.0))
    generator = ScriptedGenerator(lambda _: Script(("Four", " words", " of", " it")))
    one.moves(ModelVersion(dear, generator, lambda text: len(text.split())))
    await run(one)
    assert one.cost == pytest.approx((1 + 10) * (3 * 1.0 + 4 * 2.0) / 1e6)


async def test_what_is_left_is_counted_as_far_as_it_came_with_its_prompt_as_estimated() -> None:
    one = tab("Four", " words", " of", " it", clock=Clock())
    await run(one, leave_after=2)
    assert one.tokens == Tokens(5, 2)


async def test_what_breaks_off_likewise() -> None:
    one = tab("Four", " words", EngineAborted("gave up"), clock=Clock())
    with pytest.raises(EngineAborted):
        await run(one)
    assert one.tokens == Tokens(5, 2)


async def test_what_the_engine_refused_took_nothing() -> None:
    one = tab(refused=EngineUnavailable("gone"), clock=Clock())
    with pytest.raises(EngineUnavailable):
        await run(one)
    assert one.tokens == Tokens()


async def test_the_time_of_all_endings_is_charged_and_the_rest_is_idle() -> None:
    clock, metrics = Clock(), Metrics(["acme"])
    meter = EngineMeter(3_600.0, metrics, clock)

    async def takes_a_second(seconds: float) -> None:
        clock.now += 1.0

    script = ("Four", " words", EngineAborted("gave up"))
    generator = ScriptedGenerator(lambda _: Script(script), delay=1.0, sleep=takes_a_second)
    model = ModelVersion(pinned_manifest(), generator, lambda text: len(text.split()))
    clock.now += 10.0
    with pytest.raises(EngineAborted):
        await run(meter.tab("acme", model, seat()))
    await run(meter.tab("stranger", model, seat()), leave_after=1)
    clock.now += 7.0
    meter.bill()
    told = {
        tenant: metrics.registry.get_sample_value(
            "twinpin_effective_cost_dollars_total", {"tenant": tenant, "model": model.manifest.name}
        )
        for tenant in ("acme", "other")
    }
    idle = metrics.registry.get_sample_value("twinpin_idle_cost_dollars_total")
    work = {"acme": 5 * 1.0 + 2 * 2.0, "other": 5 * 1.0 + 1 * 2.0}  # a prompt and two words, a prompt and one
    assert idle == pytest.approx(17.0)
    assert told == {tenant: pytest.approx(4.0 * part / 16.0) for tenant, part in work.items()}
