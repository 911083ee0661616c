"""One generator over the replicas of an engine: the least busy that is well, and another where one fails in silence."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from serving.breaker import RetryBudget
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
from serving.replica import Replica

_PROBE_SECONDS = 8.0
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

    def forgotten(self, replica: str, served: str) -> None:
        """Nobody asks for the model any more: whether the replica has it is not known."""
        ...

    def retried(self, error: GenerationError) -> None:
        """A request is sent again."""
        ...


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
        patience: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`most` are the requests that one replica has at once.

        One that says nothing to anybody for `patience` seconds hangs, whatever it usually takes.
        """
        self._replicas = [Replica(name, generator, clock) for name, generator in replicas.items()]
        self._patience = patience
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
            await answer.leave()

    def out(self, model: str) -> bool:
        return all(replica.breaker(model).open for replica in self._replicas)

    async def check(self, model: str) -> None:
        self._asked[model] = self._clock()
        outcomes = await asyncio.gather(*(self._probe(replica, model) for replica in self._replicas))
        failures = [failure for failure in outcomes if failure is not None]
        if len(failures) == len(outcomes):
            raise min(failures, key=_told_last)

    async def close(self) -> None:
        for trial in self._trials:
            trial.cancel()
        if self._trials:
            await asyncio.wait(self._trials)
        async with AsyncExitStack() as stack:
            for replica in self._replicas:
                stack.push_async_callback(replica.generator.close)

    def choose(self, model: str, tried: list[Replica]) -> Replica:
        """Whom to ask next; EngineUnavailable when there is nobody, with the seconds until there may be."""
        well = [replica for replica in self._replicas if not replica.breaker(model).open]
        if not well:
            wait = min(replica.breaker(model).pause for replica in self._replicas)
            raise EngineUnavailable(f"no replica of the engine serves {model!r} now", retry_after=max(1.0, wait))
        free = self._free(model)
        if not free:
            wait = min(replica.busy_until for replica in well) - self._clock()
            raise EngineBusy("every replica of the engine is busy", retry_after=max(1.0, wait))
        chosen = min(free, key=lambda replica: (replica in tried, replica.outstanding, replica.turn))
        self._turns += 1
        chosen.turn = self._turns
        return chosen

    def now(self) -> float:
        """By the clock that all of them go by."""
        return self._clock()

    def again(self, request: GenerationRequest, tried: list[Replica], error: GenerationError) -> bool:
        """Whether a request that failed with this before its first word is to be sent again; that counts as sent."""
        if len(tried) >= _ATTEMPTS or not _passes(error) or not self._free(request.model):
            return False
        if not self._retries.take():
            return False
        self._heard.retried(error)
        return True

    def ended(self, replica: Replica, model: str, error: GenerationError | None) -> None:
        """How a replica answered, None where it did to the end."""
        breaker = replica.breaker(model)
        match error:
            case None:
                breaker.succeeded()
            case EngineBusy():
                if replica.turns_away(error):
                    self._failed(replica, model, error, surely=True)
            case EngineRefused() if error.status != _NOT_FOUND:
                breaker.succeeded()
            case _:
                surely = isinstance(error, EngineGone | EngineRefused | WrongModel)
                self._failed(replica, model, error, surely=surely)

    def left(self, replica: Replica, model: str, asked: float) -> None:
        """Nobody waits any more for what a replica was asked then, whoever's time it was that ended.

        That is its failure where it has said nothing for long, to anybody: one with much to do speaks to others, and
        who leaves soon says nothing of it.
        """
        silent = replica.silent(asked)
        if silent >= replica.patience(self._patience):
            self._failed(replica, model, GenerationTimeout("first_piece", round(silent, 1)))

    def _failed(self, replica: Replica, model: str, error: GenerationError, *, surely: bool = False) -> None:
        if replica.breaker(model).failed(surely=surely):
            self._heard.opened(replica.name, model, error)
            self._start_trials(replica, model)

    def _free(self, model: str) -> list[Replica]:
        now = self._clock()
        return [
            replica
            for replica in self._replicas
            if not replica.breaker(model).open and replica.busy_until <= now and replica.outstanding < self._most
        ]

    def _start_trials(self, replica: Replica, model: str) -> None:
        trial = asyncio.create_task(self._recover(replica, model))
        self._trials.add(trial)
        trial.add_done_callback(self._trials.discard)

    async def _recover(self, replica: Replica, model: str) -> None:
        """Try until it is well; what nobody has asked for in a while is forgotten, and asked when somebody does."""
        breaker = replica.breaker(model)
        while breaker.open:
            await asyncio.sleep(breaker.pause)
            if self._clock() - self._asked[model] > _UNASKED_SECONDS:
                del replica.breakers[model]
                self._heard.forgotten(replica.name, model)
                return
            if not breaker.pause:
                await self._probe(replica, model)

    async def _probe(self, replica: Replica, model: str) -> GenerationError | None:
        failure = await _checked(replica.generator, model)
        breaker = replica.breaker(model)
        if not breaker.open:
            self.ended(replica, model, failure)
            return failure
        if isinstance(failure, EngineBusy):
            replica.turns_away(failure)
        well = failure is None or isinstance(failure, EngineBusy)  # a queue is full of work that is done
        breaker.tried(well=well)
        if well:
            self._heard.closed(replica.name, model)
        return failure


class _Answer:
    """The pieces of one answer, from whichever replica gives the first of them."""

    def __init__(self, replicas: ReplicatedGenerator, request: GenerationRequest) -> None:
        self._replicas = replicas
        self._request = request
        self._tried: list[Replica] = []
        self._asked: float | None = None
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
                await self._fails(error)
                if self._said or not self._replicas.again(self._request, self._tried, error):
                    raise
                await self.open()
            else:
                self._tried[-1].speaks(None if self._said else self._asked)
                self._said = True
                if isinstance(piece, Finish):
                    self._asked = None
                    self._replicas.ended(self._tried[-1], self._request.model, None)
                return piece

    async def open(self) -> None:
        """Return when a replica has taken the request; raise what the last one that was asked said.

        That one does not have the model is said only where nobody has.
        """
        failure: GenerationError | None = None
        while True:
            replica = self._replicas.choose(self._request.model, self._tried)
            self._tried.append(replica)
            replica.outstanding += 1
            self._asked = self._replicas.now()
            self._stack.callback(_leave, replica)
            try:
                self._pieces = await self._stack.enter_async_context(replica.generator.generate(self._request))
            except GenerationError as error:
                await self._fails(error)
                failure = failure if failure is not None and _lacks_model(error) else error
                if not self._replicas.again(self._request, self._tried, error):
                    raise failure from None
            else:
                return

    async def leave(self) -> None:
        """Free the replica, however it is doing."""
        if self._asked is not None:
            self._replicas.left(self._tried[-1], self._request.model, self._asked)
        await self._stack.aclose()

    async def _fails(self, error: GenerationError) -> None:
        asked, self._asked = self._asked, None
        if isinstance(error, GenerationTimeout) and error.phase == "total" and asked is not None:
            self._replicas.left(self._tried[-1], self._request.model, asked)
        else:
            self._replicas.ended(self._tried[-1], self._request.model, error)
        await self._stack.aclose()


def _leave(replica: Replica) -> None:
    replica.outstanding -= 1


def _passes(error: GenerationError) -> bool:
    """Whether another replica, or the same one a moment later, may do better."""
    return _lacks_model(error) or isinstance(error, EngineUnavailable | EngineAborted)


def _lacks_model(error: GenerationError) -> bool:
    return isinstance(error, EngineRefused) and error.status == _NOT_FOUND


def _told_last(error: GenerationError) -> int:
    """Of replicas that all fail, one that is well and full is what matters, then one that others may ask."""
    return 0 if isinstance(error, EngineBusy) else 1 if isinstance(error, EngineRefused) else 2


async def _checked(generator: Generator, model: str) -> GenerationError | None:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await generator.check(model)
    except GenerationError as error:
        return error
    except TimeoutError:
        return GenerationTimeout("first_piece", _PROBE_SECONDS)
    return None
