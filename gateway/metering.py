"""What answers take of the engine: the tokens of each to the last one that came, and their share of what it costs."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import NoReturn

from gateway.limits.concurrency import Concurrency
from gateway.release import ModelVersion
from gateway.telemetry.metrics import Metrics
from serving.cost import EngineBill, Payer, Tokens, list_cost, work
from serving.errors import EngineBusy, GenerationTimeout
from serving.generator import Finish, GenerationRequest, Piece

_BILL_SECONDS = 1.0
_HOUR_SECONDS = 3_600.0


class EngineMeter:
    """Charges the engine's time, busy and idle, to those it works for, and tells the metrics each second."""

    def __init__(
        self,
        dollars_per_hour: float,
        metrics: Metrics,
        concurrency: Concurrency,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics = metrics
        self._concurrency = concurrency
        self._clock = clock
        self._bill = EngineBill(dollars_per_hour / _HOUR_SECONDS, clock())

    def tab(self, tenant: str, model: ModelVersion) -> "Tab":
        """The engine as one answer is to ask it."""
        return Tab(self, Payer(self._metrics.tenant(tenant), model.manifest.name), model, self._clock())

    def begin(self, payer: Payer) -> None:
        """A generation begins."""
        self._bill.begin(self._clock(), payer)

    def heard(self, asked: float) -> None:
        """The first word for what was asked then has come: where it waited, for the engine or for us, is all one."""
        self._concurrency.heard(asked, self._clock() - asked)

    def cut_off(self, asked: float) -> None:
        """No word came before somebody's patience ended: who counted only those that came would see none too late."""
        self._concurrency.waited_in_vain(self._clock() - asked)

    def pushed_back(self, asked: float) -> None:
        """There was no room for what was asked then."""
        self._concurrency.pushed_back(asked)

    def did(self, payer: Payer, work: float) -> None:
        """So much was done for it."""
        self._bill.did(payer, work)

    def end(self, payer: Payer) -> None:
        """It is over."""
        self._bill.end(self._clock(), payer)

    def bill(self) -> None:
        """Tell what the engine has cost since the last time."""
        self._metrics.engine(self._bill.close(self._clock()))

    async def run(self) -> NoReturn:
        """Bill for as long as the process lives."""
        while True:
            await asyncio.sleep(_BILL_SECONDS)
            self.bill()


class Tab:
    """A model version's engine that counts what one answer takes of it, and costs by the list, in US dollars.

    A generation that ends brings the engine's own counts. One that is cut off, by a failure or by a client that went
    away, is counted here: what came by the model's tokenizer, its prompt as it was estimated.
    """

    def __init__(self, meter: EngineMeter, payer: Payer, model: ModelVersion, asked: float) -> None:
        """`asked` is when the question came, by the meter's clock."""
        self._meter = meter
        self._payer = payer
        self._model = model
        self._asked = asked
        self.tokens = Tokens()
        self.cost = 0.0

    def pays(self, other: "Tab") -> None:
        """Take over what another one counted."""
        self.tokens += other.tokens
        self.cost += other.cost

    def moves(self, model: ModelVersion) -> None:
        """What is generated from now on is another version's, by its price."""
        self._payer = Payer(self._payer.tenant, model.manifest.name)
        self._model = model

    @asynccontextmanager
    async def generate(self, request: GenerationRequest) -> AsyncGenerator[AsyncIterator[Piece]]:
        self._meter.begin(self._payer)
        counting = None
        try:
            async with self._model.generator.generate(request) as pieces:
                counting = _Counting(pieces, request, self._did, partial(self._meter.heard, self._asked))
                try:
                    yield counting
                finally:
                    self._took(counting.tokens(self._model.count_tokens))
        except EngineBusy:
            self._meter.pushed_back(self._asked)
            raise
        except (GenerationTimeout, asyncio.CancelledError):
            if counting is None or counting.silent:
                self._meter.cut_off(self._asked)
            raise
        finally:
            self._meter.end(self._payer)

    def _took(self, tokens: Tokens) -> None:
        self.tokens += tokens
        self.cost += list_cost(self._model.manifest.price, tokens)

    def _did(self, tokens: Tokens) -> None:
        self._meter.did(self._payer, work(self._model.manifest.price, tokens))


class _Counting:
    """Passes pieces on; how many tokens they are is about right, and the finish sets it right."""

    def __init__(
        self,
        pieces: AsyncIterator[Piece],
        request: GenerationRequest,
        did: Callable[[Tokens], None],
        heard: Callable[[], None],
    ) -> None:
        self._pieces = pieces
        self._heard = heard
        self._prompt = request.prompt_tokens
        self._did = did
        self._said: list[str] = []
        self._came = 0
        self._finish: Finish | None = None

    def __aiter__(self) -> AsyncIterator[Piece]:
        return self

    async def __anext__(self) -> Piece:
        piece = await anext(self._pieces)
        if isinstance(piece, Finish):
            self._finish = piece
            self._did(self._missed(piece))
        else:
            if not self._said:
                self._heard()
            self._did(Tokens(0 if self._said else self._prompt, piece.tokens))
            self._said.append(piece.text)
            self._came += piece.tokens
        return piece

    @property
    def silent(self) -> bool:
        """Whether nothing has come so far."""
        return not self._said and self._finish is None

    def tokens(self, count: Callable[[str], int]) -> Tokens:
        """What has been taken, in the end or so far."""
        if self._finish is not None:
            return _counted(self._finish)
        return Tokens(self._prompt, count("".join(self._said)))

    def _missed(self, finish: Finish) -> Tokens:
        """What the engine has done beyond what was counted as it came."""
        told = _counted(finish)
        prompt = 0 if self._said else told.prompt - told.cached
        return Tokens(prompt, max(0, told.completion - self._came))


def _counted(finish: Finish) -> Tokens:
    return Tokens(finish.prompt_tokens, finish.completion_tokens, finish.cached_tokens)
