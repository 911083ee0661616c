"""What answers cost: by the list, and what the engine's time really came to, divided among those it worked for."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from serving.manifest import ModelManifest, Price

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Tokens:
    """What generations took; `cached` is the part of the prompt that the engine had computed before."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.prompt + other.prompt, self.completion + other.completion, self.cached + other.cached)

    @property
    def total(self) -> int:
        """As budgets count them: cached ones as much as others."""
        return self.prompt + self.completion


def list_cost(price: Price, tokens: Tokens) -> float:
    """US dollars by the price that a model version pins; cached prompt tokens cost as much as others."""
    return (tokens.prompt * price.input + tokens.completion * price.output) / MILLION


def at_most(manifest: ModelManifest, max_tokens: int | None, *, rewriting: bool) -> Tokens:
    """What an answer can take: the prompt's whole budget, all that may be said, and the same for a rewriting."""
    said = min(max_tokens or manifest.answer_tokens, manifest.answer_tokens)
    answer = Tokens(manifest.context_tokens - manifest.answer_tokens, said)
    if not rewriting or manifest.rewrite.prompt is None:
        return answer
    return answer + Tokens(manifest.context_tokens - manifest.rewrite.tokens, manifest.rewrite.tokens)


def work(price: Price, tokens: Tokens) -> float:
    """How much of the engine tokens take beside others: in proportion to their price, and cached ones nothing."""
    computed = Tokens(tokens.prompt - tokens.cached, tokens.completion)
    return list_cost(price, computed) if price.input or price.output else computed.total / MILLION


class Payer(NamedTuple):
    """Whom engine time is charged to."""

    tenant: str
    model: str


class Bill(NamedTuple):
    """US dollars of one period: together they are what the engine cost in it."""

    idle: float
    shares: Mapping[Payer, float]


class EngineBill:
    """Divides what the engine costs by the second: while it has work among those it works for, by what work it did for
    each since the last bill; while it has none, to nobody.

    `now` is seconds of a clock that does not go back. Those in flight for whom nothing was done yet pay when it is; in
    a period in which nothing was done for anybody, all in flight pay alike.
    """

    def __init__(self, dollars_per_second: float, now: float) -> None:
        self._rate = dollars_per_second
        self._at = now
        self._flying: Counter[Payer] = Counter()
        self._running = 0
        self._present: Counter[Payer] = Counter()
        self._work: dict[Payer, float] = {}
        self._busy = 0.0
        self._idle = 0.0

    def begin(self, now: float, payer: Payer) -> None:
        """A generation begins."""
        self._advance(now)
        self._running += 1
        self._flying[payer] += 1
        self._present[payer] += 1

    def did(self, payer: Payer, work: float) -> None:
        """So much was done for a generation in flight."""
        self._work[payer] = self._work.get(payer, 0.0) + work

    def end(self, now: float, payer: Payer) -> None:
        """A generation is over, however it ended."""
        self._advance(now)
        self._running -= 1
        self._flying[payer] -= 1

    def close(self, now: float) -> Bill:
        """The bill since the last one."""
        self._advance(now)
        bill = Bill(self._idle, _divided(self._busy, self._work if any(self._work.values()) else self._present))
        self._flying = +self._flying
        self._present, self._work = self._flying.copy(), {}
        self._busy = self._idle = 0.0
        return bill

    def _advance(self, now: float) -> None:
        cost, self._at = (now - self._at) * self._rate, now
        if self._running:
            self._busy += cost
        else:
            self._idle += cost


def _divided(dollars: float, parts: Mapping[Payer, float]) -> dict[Payer, float]:
    whole = sum(parts.values())
    return {payer: dollars * (part / whole) for payer, part in parts.items()} if dollars else {}
