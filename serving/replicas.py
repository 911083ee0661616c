"""One generator over the replicas of an engine: the least busy that is well, and another where one fails in silence."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from serving.breaker import Breaker, RetryBudget
from serving.errors import (
    EngineAborted,
    EngineBusy,
    EngineGone,
    EngineRefused,
    EngineUnavailable,
    GenerationError,
    GenerationTimeout,
    WrongModel,
)
from serving.generator import Finish, GenerationRequest, Generator, Piece

_PROBE_SECONDS = 8.0
_BUSY_SECONDS, _BUSY_AT_MOST = 0.25, 30.0  # where it does not say how long, as vLLM does not
_ATTEMPTS = 3
_UNASKED_SECONDS = 600.0
_NOT_FOUND = 404


class Heard(Protocol):
    """Is told what callers do not see."""

    def opened(self, replica: str, served: str, error: GenerationError) -> None:
        """A replica is not asked for a model any more."""
        ...

    def closed(self, replica: str, served: str) -> None:
        """It is again."""
        ...

    def retried(self, error: GenerationError) -> None:
        """A request is sent again."""
        ...


@dataclass(slots=True)
class _Replica:
    name: str
    generator: Generator
    outstanding: int = 0
    turn: int = 0
    busy_until: float = float("-inf")
    breakers: dict[str, Breaker] = field(default_factory=dict)


class ReplicatedGenerator:
    """A `Generator`; replicas are known by name, and each has a breaker for each model, as adapters are loaded apart.

    A request is sent again only before its first word, while the budget for that lasts, and not where it was refused
    for what it is. A breaker that opens starts the trials that close it: health, list of models, one token.
    """

    def __init__(
        self,
        replicas: Mapping[str, Generator],
        *,
        most: int,
        heard: Heard,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`most` are the requests that one replica has at once."""
        self._replicas = [_Replica(name, generator) for name, generator in replicas.items()]
        self._most = most
        self._heard = heard
        self._clock = clock
        self._retries = RetryBudget(clock)
        self._asked: dict[str, float] = {}
        self._turns = 0
        self._trials: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def generate(self, request: GenerationRequest) -> AsyncGenerator[AsyncIterator[Piece]]:
        self._retries.asked()
        self._asked[request.model] = self._clock()
        answer = _Answer(self, request)
        try:
            await answer.open()
            yield answer
        finally:
            await answer.close()

    def out(self, model: str) -> bool:
        return all(self._breaker(replica, model).open for replica in self._replicas)

    async def check(self, model: str) -> None:
        self._asked[model] = self._clock()
        outcomes = await asyncio.gather(*(self._probe(replica, model) for replica in self._replicas))
        failures = [failure for failure in outcomes if failure is not None]
        if len(failures) == len(outcomes):
            raise next((one for one in failures if isinstance(one, EngineRefused)), failures[0])

    async def close(self) -> None:
        for trial in self._trials:
            trial.cancel()
        if self._trials:
            await asyncio.wait(self._trials)
        async with AsyncExitStack() as stack:
            for replica in self._replicas:
                stack.push_async_callback(replica.generator.close)

    def choose(self, model: str, tried: list[_Replica]) -> _Replica:
        """Whom to ask next; EngineUnavailable when there is nobody, with the seconds until there may be."""
        well = [replica for replica in self._replicas if not self._breaker(replica, model).open]
        if not well:
            wait = min(self._breaker(replica, model).pause for replica in self._replicas)
            raise EngineUnavailable(f"no replica of the engine serves {model!r} now", retry_after=max(1.0, wait))
        now = self._clock()
        free = [replica for replica in well if replica.busy_until <= now and replica.outstanding < self._most]
        if not free:
            wait = min(replica.busy_until for replica in well) - now
            raise EngineBusy("every replica of the engine is busy", retry_after=max(1.0, wait))
        chosen = min(free, key=lambda replica: (replica in tried, replica.outstanding, replica.turn))
        self._turns += 1
        chosen.turn = self._turns
        return chosen

    def again(self, request: GenerationRequest, tried: list[_Replica], error: GenerationError) -> bool:
        """Whether a request that failed with this before its first word is to be sent again; that counts as sent."""
        if len(tried) >= _ATTEMPTS or not _passes(error) or not self._has_room(request.model):
            return False
        if not self._retries.take():
            return False
        self._heard.retried(error)
        return True

    def ended(self, replica: _Replica, model: str, error: GenerationError | None) -> None:
        """How a replica answered, None where it did to the end."""
        breaker = self._breaker(replica, model)
        match error:
            case None:
                breaker.succeeded()
            case EngineBusy():
                wait = min(error.retry_after or _BUSY_SECONDS, _BUSY_AT_MOST)
                replica.busy_until = max(replica.busy_until, self._clock() + wait)
            case EngineRefused() if error.status != _NOT_FOUND:
                breaker.succeeded()
            case GenerationTimeout(phase="total"):
                return  # of the caller's time, which says nothing of the replica
            case _:
                surely = isinstance(error, EngineGone | EngineRefused | WrongModel)
                if breaker.failed(surely=surely):
                    self._heard.opened(replica.name, model, error)
                    self._start_trials(replica, model)

    def _breaker(self, replica: _Replica, model: str) -> Breaker:
        if model not in replica.breakers:
            replica.breakers[model] = Breaker(self._clock)
        return replica.breakers[model]

    def _has_room(self, model: str) -> bool:
        now = self._clock()
        return any(
            not self._breaker(replica, model).open and replica.busy_until <= now and replica.outstanding < self._most
            for replica in self._replicas
        )

    def _start_trials(self, replica: _Replica, model: str) -> None:
        trial = asyncio.create_task(self._recover(replica, model))
        self._trials.add(trial)
        trial.add_done_callback(self._trials.discard)

    async def _recover(self, replica: _Replica, model: str) -> None:
        """Try until it is well; what nobody has asked for in a while is forgotten, and thought well of."""
        breaker = self._breaker(replica, model)
        while breaker.open:
            await asyncio.sleep(breaker.pause)
            if self._clock() - self._asked[model] > _UNASKED_SECONDS:
                del replica.breakers[model]
                self._heard.closed(replica.name, model)
                return
            if not breaker.pause:
                await self._probe(replica, model)

    async def _probe(self, replica: _Replica, model: str) -> GenerationError | None:
        failure = await _checked(replica.generator, model)
        breaker = self._breaker(replica, model)
        if not breaker.open:
            self.ended(replica, model, failure)
        else:
            breaker.tried(well=failure is None)
            if failure is None:
                self._heard.closed(replica.name, model)
        return failure


class _Answer:
    """The pieces of one answer, from whichever replica gives the first of them."""

    def __init__(self, replicas: ReplicatedGenerator, request: GenerationRequest) -> None:
        self._replicas = replicas
        self._request = request
        self._tried: list[_Replica] = []
        self._stack = AsyncExitStack()
        self._said = False
        self._pieces: AsyncIterator[Piece]

    def __aiter__(self) -> AsyncIterator[Piece]:
        return self

    async def __anext__(self) -> Piece:
        while True:
            try:
                piece = await anext(self._pieces)
            except GenerationError as error:
                self._replicas.ended(self._tried[-1], self._request.model, error)
                await self.close()
                if self._said or not self._replicas.again(self._request, self._tried, error):
                    raise
                await self.open()
            else:
                self._said = True
                if isinstance(piece, Finish):
                    self._replicas.ended(self._tried[-1], self._request.model, None)
                return piece

    async def open(self) -> None:
        """Return when a replica has taken the request; raise what the last one that was asked said."""
        while True:
            replica = self._replicas.choose(self._request.model, self._tried)
            self._tried.append(replica)
            replica.outstanding += 1
            self._stack.callback(_leave, replica)
            try:
                self._pieces = await self._stack.enter_async_context(replica.generator.generate(self._request))
            except GenerationError as error:
                self._replicas.ended(replica, self._request.model, error)
                await self.close()
                if not self._replicas.again(self._request, self._tried, error):
                    raise
            else:
                return

    async def close(self) -> None:
        """Free the replica."""
        await self._stack.aclose()


def _leave(replica: _Replica) -> None:
    replica.outstanding -= 1


def _passes(error: GenerationError) -> bool:
    """Whether another replica, or the same one a moment later, may do better."""
    if isinstance(error, EngineRefused):
        return error.status == _NOT_FOUND
    if isinstance(error, GenerationTimeout):
        return error.phase == "connect"
    return isinstance(error, EngineUnavailable | EngineAborted)


async def _checked(generator: Generator, model: str) -> GenerationError | None:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await generator.check(model)
    except GenerationError as error:
        return error
    except TimeoutError:
        return GenerationTimeout("first_piece", _PROBE_SECONDS)
    return None
