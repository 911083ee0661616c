"""A generator that replays a script: for tests, for demonstrations without an engine, and said to be scripted."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from serving.errors import EngineRefused, EngineUnavailable, GenerationError
from serving.generator import Finish, GenerationRequest, Message, Piece, Sampling, Text
from serving.output import wanted_schema


@dataclass(frozen=True, slots=True)
class Script:
    """One answer: `refused` is raised on entering; an error among `pieces` is raised when its turn comes."""

    pieces: tuple[str | GenerationError, ...] = ()
    refused: GenerationError | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """`script` answers every question that contains `question`, in any case of letters; the empty one fits all."""

    question: str
    script: Script


@dataclass(slots=True)
class Exchange:
    """What happened to one accepted request; `left_early` when the caller went away before the finish."""

    request: GenerationRequest
    given: list[str] = field(default_factory=list)
    left_early: bool = False
    running: bool = True


class ScriptedGenerator:
    """A `Generator` that counts one token per piece and one per word of the prompt, and keeps what it was asked.

    `script` is a function of the request or rules of which the first that fits counts; `models` are the names it
    serves (None: all). Once closed it is unavailable. A request with a JSON schema gets the least document that fits.
    """

    def __init__(
        self,
        script: Callable[[GenerationRequest], Script] | Sequence[Rule],
        *,
        models: Collection[str] | None = None,
        delay: float = 0.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._script = script if callable(script) else by_question(script)
        self._models = models
        self._delay = delay
        self._sleep = sleep
        self._closed = False
        self.exchanges: list[Exchange] = []

    @asynccontextmanager
    async def generate(self, request: GenerationRequest) -> AsyncGenerator[AsyncIterator[Piece]]:
        script = self._accept(request)
        exchange = Exchange(request)
        self.exchanges.append(exchange)
        try:
            async with aclosing(self._replay(script, exchange)) as pieces:
                yield pieces
        finally:
            exchange.left_early = exchange.running
            exchange.running = False

    async def check(self, model: str) -> None:
        request = GenerationRequest(model, (Message("user", "ping"),), 1, Sampling(), None, None, "probe")
        self._accept(request)

    def out(self, model: str) -> bool:
        return self._closed

    async def close(self) -> None:
        self._closed = True

    def _accept(self, request: GenerationRequest) -> Script:
        if self._closed:
            raise EngineUnavailable("the scripted generator is closed")
        if self._models is not None and request.model not in self._models:
            raise EngineRefused(f"the scripted generator does not serve {request.model!r}", status=404)
        script = self._script(request)
        if script.refused is not None:
            raise script.refused
        schema = wanted_schema(request.response_format)
        return script if schema is None else Script((json.dumps(least_instance(schema)),))

    async def _replay(self, script: Script, exchange: Exchange) -> AsyncGenerator[Piece]:
        for piece in script.pieces[: exchange.request.max_tokens]:
            if self._delay:
                await self._sleep(self._delay)
            if isinstance(piece, GenerationError):
                exchange.running = False
                raise piece
            exchange.given.append(piece)
            yield Text(piece)
        exchange.running = False
        yield self._finish(script, exchange)

    def _finish(self, script: Script, exchange: Exchange) -> Finish:
        cut = len(script.pieces) > exchange.request.max_tokens
        reason: Literal["stop", "length"] = "length" if cut else "stop"
        prompt_tokens = sum(len(message.content.split()) for message in exchange.request.messages)
        return Finish(reason, prompt_tokens, len(exchange.given), 0)


def by_question(rules: Sequence[Rule]) -> Callable[[GenerationRequest], Script]:
    """A script that looks at the last message; a request that no rule fits is refused as the script's fault."""

    def script(request: GenerationRequest) -> Script:
        asked = request.messages[-1].content.casefold()
        for rule in rules:
            if rule.question.casefold() in asked:
                return rule.script
        return Script(refused=EngineRefused("no rule of the script fits the question", status=400))

    return script


def pieces_of(text: str) -> tuple[str, ...]:
    """`text` in pieces as a model streams it: one word each, with the space before it."""
    words = text.split(" ")
    return tuple(word if position == 0 else f" {word}" for position, word in enumerate(words) if word or position)


def least_instance(schema: Mapping[str, object]) -> object:
    """A small JSON value that fits a plain schema: types, enum, const, required properties, minItems."""
    match schema:
        case {"const": value}:
            return value
        case {"enum": [first, *_]}:
            return first
        case {"type": "object", "properties": dict(properties)}:
            return {name: least_instance(inner) for name, inner in properties.items()}
        case {"type": "array", "items": dict(items)}:
            least = schema.get("minItems", 0)
            return [least_instance(items)] * (least if isinstance(least, int) else 0)
        case {"type": kind}:
            plain = {"object": {}, "array": [], "string": "scripted", "integer": 0, "number": 0.0, "boolean": False}
            return plain.get(str(kind))
        case _:
            return None
