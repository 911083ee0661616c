"""What every generator promises: the suite that the fake, the client and the real engine all pass."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

import pytest

from serving.errors import EngineRefused, EngineUnavailable
from serving.generator import Finish, GenerationRequest, Generator, Message, Piece, Sampling, Text

SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}, "count": {"type": "integer"}},
    "required": ["colour", "count"],
    "additionalProperties": False,
}
FREED_WITHIN = 2.0


@dataclass(frozen=True, slots=True)
class Subject:
    """A generator under test, the model it serves, how many answers its engine runs now, and a twin whose engine is
    gone."""

    generator: Generator
    model: str
    running: Callable[[], Awaitable[int]]
    down: Generator


def request_for(model: str, question: str = "Count from one to a hundred.", max_tokens: int = 24) -> GenerationRequest:
    return GenerationRequest(
        model=model,
        messages=(Message("system", "You answer briefly."), Message("user", question)),
        max_tokens=max_tokens,
        sampling=Sampling(seed=7),
        response_format=None,
        cache_salt="0123456789abcdef",
        request_id="contract-test",
    )


async def collect(pieces: AsyncIterator[Piece]) -> list[Piece]:
    return [piece async for piece in pieces]


class GeneratorContract:
    """Give one async fixture, `subject`."""

    async def test_streams_text_and_then_exactly_one_finish(self, subject: Subject) -> None:
        async with subject.generator.generate(request_for(subject.model)) as stream:
            pieces = await collect(stream)
        texts, finish = pieces[:-1], pieces[-1]
        assert len(texts) > 1
        assert all(isinstance(piece, Text) and piece.text for piece in texts)
        assert isinstance(finish, Finish)
        assert finish.reason in ("stop", "length")
        assert finish.prompt_tokens >= 5
        assert 1 < finish.completion_tokens <= 24
        assert 0 <= finish.cached_tokens <= finish.prompt_tokens

    async def test_stops_at_the_token_limit_and_says_so(self, subject: Subject) -> None:
        async with subject.generator.generate(request_for(subject.model, max_tokens=3)) as stream:
            pieces = await collect(stream)
        assert isinstance(pieces[-1], Finish)
        assert (pieces[-1].reason, pieces[-1].completion_tokens) == ("length", 3)

    async def test_two_answers_at_once_do_not_mix(self, subject: Subject) -> None:
        async def ask() -> list[Piece]:
            async with subject.generator.generate(request_for(subject.model)) as stream:
                return await collect(stream)

        alone = await ask()
        together = await asyncio.gather(ask(), ask())
        ends = [pieces[-1] for pieces in (alone, *together)]
        assert all(isinstance(end, Finish) for end in ends)
        assert len({end.prompt_tokens for end in ends if isinstance(end, Finish)}) == 1

    async def test_leaving_early_frees_the_engine(self, subject: Subject) -> None:
        async with subject.generator.generate(request_for(subject.model, max_tokens=400)) as stream:
            assert isinstance(await anext(stream), Text)
            assert await subject.running() == 1
        await _until_idle(subject)

    async def test_an_error_in_the_callers_block_frees_the_engine(self, subject: Subject) -> None:
        async def ask() -> None:
            async with subject.generator.generate(request_for(subject.model, max_tokens=400)) as stream:
                await anext(stream)
                raise LookupError

        with pytest.raises(LookupError):
            await ask()
        await _until_idle(subject)

    async def test_a_cancelled_caller_frees_the_engine(self, subject: Subject) -> None:
        started = asyncio.Event()

        async def ask() -> None:
            async with subject.generator.generate(request_for(subject.model, max_tokens=400)) as stream:
                async for _ in stream:
                    started.set()

        task = asyncio.create_task(ask())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await _until_idle(subject)

    async def test_a_json_schema_is_enforced(self, subject: Subject) -> None:
        wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
        request = replace(request_for(subject.model, "Which colour, how many?", 60), response_format=wanted)
        async with subject.generator.generate(request) as stream:
            pieces = await collect(stream)
        answer = json.loads("".join(piece.text for piece in pieces if isinstance(piece, Text)))
        assert set(answer) == {"colour", "count"}
        assert answer["colour"] in ("red", "green")
        assert isinstance(answer["count"], int)

    async def test_an_unknown_model_is_refused_on_entering(self, subject: Subject) -> None:
        with pytest.raises(EngineRefused) as refused:
            async with subject.generator.generate(request_for("no-such-model")):
                pytest.fail("an unknown model was accepted")
        assert refused.value.status == 404

    async def test_check_passes_for_the_served_model_only(self, subject: Subject) -> None:
        await subject.generator.check(subject.model)
        with pytest.raises(EngineRefused):
            await subject.generator.check("no-such-model")

    async def test_an_engine_that_is_down_is_unavailable(self, subject: Subject) -> None:
        with pytest.raises(EngineUnavailable):
            async with subject.down.generate(request_for(subject.model)):
                pytest.fail("an engine that is down accepted")
        with pytest.raises(EngineUnavailable):
            await subject.down.check(subject.model)


async def _until_idle(subject: Subject) -> None:
    for _ in range(100):
        if not await subject.running():
            return
        await asyncio.sleep(FREED_WITHIN / 100)
    pytest.fail(f"the engine was still busy after {FREED_WITHIN} s")
