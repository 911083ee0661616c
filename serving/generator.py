"""What a text generator is to the rest of the product: a request, the pieces of its answer, the protocol between."""

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the conversation as the engine's chat template sees it."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn; `stop` strings end the answer and are not part of it."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """All the engine is told.

    `model` is the served name from a manifest, never a client's string. `response_format` is OpenAI's object and is
    passed on unchanged. `cache_salt` is hexadecimal, at most 128 characters; answers with different salts share no
    prefix cache. `trace` are headers that say which trace the work belongs to. Not told are `prompt_tokens`, an upper
    estimate for whoever counts what was cut off, and `deadline`, by the event loop's clock: what is left of the
    caller's time.
    """

    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    sampling: Sampling
    response_format: Mapping[str, object] | None
    cache_salt: str | None
    request_id: str
    trace: Mapping[str, str] = field(default_factory=dict)
    prompt_tokens: int = 0
    deadline: float = math.inf


@dataclass(frozen=True, slots=True)
class Text:
    """The next piece of the answer, never empty; it came in so many of the engine's, each about a token."""

    text: str
    tokens: int = 1


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a complete answer, with the engine's own token counts; `cached_tokens` is 0 where it counts none."""

    reason: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


Piece = Text | Finish


class Generates(Protocol):
    """What answers a request."""

    def generate(self, request: GenerationRequest) -> AbstractAsyncContextManager[AsyncIterator[Piece]]:
        """Open the answer to a request.

        Entering means that the engine accepted it, else it raises. Iterating yields `Text` pieces and then exactly one
        `Finish`, the last. Leaving the block early frees the engine. Raises `GenerationError`.
        """
        ...


class Generator(Generates, Protocol):
    """Where answers come from; every implementation keeps the promises of `tests/contracts/generator.py`."""

    async def check(self, model: str) -> None:
        """Return when `model` is served and answers a one-token probe; raise `GenerationError` when not."""
        ...

    def out(self, model: str) -> bool:
        """Whether nothing that serves `model` can be asked now, as far as is known without asking."""
        ...

    async def close(self) -> None:
        """Give up all connections; the generator is not used afterwards."""
        ...
