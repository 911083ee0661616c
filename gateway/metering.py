"""What answers take of the engine: the tokens of each to the last one that came, and their share of what it costs."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NoReturn

from gateway.limits.seat import Seat
from gateway.release import ModelVersion
from gateway.telemetry.metrics import Metrics
from serving.cost import EngineBill, Payer, Tokens, list_cost, work
from serving.errors import EngineBusy
from serving.generator import Finish, GenerationRequest, Piece

_BILL_SECONDS = 1.0
_HOUR_SECONDS = 3_600.0


class EngineMeter:
    """Charges the engine's time, busy and idle, to those it works for, and tells the metrics each second."""

    def __init__(
        self,
        dollars_per_hour: float,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._bill = EngineBill(dollars_per_hour / _HOUR_SECONDS, clock())

    def tab(self, tenant: str, model: ModelVersion, seat: Seat) -> "Tab":
        """The engine as one answer is to ask it."""
        return Tab(self, Payer(self._metrics.tenant(tenant), model.manifest.name), model, seat)

    def begin(self, payer: Payer) -> None:
        """A generation begins."""
        self._bill.begin(self._clock(), payer)

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

    def __init__(self, meter: EngineMeter, payer: Payer, model: ModelVersion, seat: Seat) -> None:
        """`seat` is to be taken before the engine is asked."""
        self._meter = meter
        self._payer = payer
        self._model = model
        self.seat = seat
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
        try:
            async with self._model.generator.generate(request) as pieces:
                counting = _Counting(pieces, request, self._did, self.seat.heard)
                try:
                    yield counting
                finally:
                    self._took(counting.tokens(self._model.count_tokens))
        except EngineBusy:
            self.seat.pushed_back()
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
