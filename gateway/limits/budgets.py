"""What a ledger of budgets is to the rest: an estimate is reserved in it, exact usage settles it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from gateway.limits.caps import MEASURES, NANO, Caps, Measure

SLOTS = 50  # parts of a window: what was taken leaves it at most one part late, never early
SOON_SECONDS = 1.0  # when something in flight may have ended
Whose = Literal["tenant", "key", "person"]
State = Literal["in process", "shared", "degraded"]


class BudgetsUnavailable(Exception):
    """The ledger cannot be reached, or says what cannot be understood."""


class Amounts(NamedTuple):
    """In the order of `MEASURES`; dollars in billionths."""

    requests: int = 0
    tokens: int = 0
    dollars: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody's budgets: a tenant's, or those of one of its keys or people, whose account `key` names."""

    whose: Whose
    tenant: str
    key: str
    caps: Caps


@dataclass(frozen=True, slots=True)
class Level:
    """How one limit stands, in requests, tokens, dollars or places; `reset` is in seconds until all of it is free."""

    whose: Whose
    measure: Measure | Literal["concurrency"]
    limit: float
    used: float
    reset: float
    seconds: int | None = None

    @property
    def remaining(self) -> float:
        """What is left; a budget may be passed by what the last reservation took."""
        return max(0, self.limit - self.used)


@dataclass(frozen=True, slots=True)
class Lease:
    """What has been reserved: `slots` are the parts of windows it was written to, three for each claim."""

    id: str
    claims: tuple[Claim, ...]
    held: Amounts
    slots: tuple[int, ...]
    levels: tuple[Level, ...]
    budgets: "Budgets"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which limit is used up, and in how many seconds that may be over."""

    level: Level
    wait: float
    levels: tuple[Level, ...]


class Budgets(Protocol):
    """Every implementation keeps the promises of `tests/contracts/test_budgets.py`.

    Something is admitted while each budget that it needs has any left, so that a budget is passed by less than one
    reservation. What was taken counts from the moment it was reserved, for its window and at most a `SLOTS`th more.
    """

    @property
    def state(self) -> State:
        """Who counts together: this process, all of them, or each with a share as what they share is gone."""
        ...

    async def reserve(self, claims: tuple[Claim, ...], need: Amounts) -> Lease | Refusal:
        """Take `need` and a place from all claims, or nothing from any. Raises BudgetsUnavailable."""
        ...

    async def settle(self, lease: Lease, used: Amounts) -> None:
        """Give the place back, and let `used` have been taken. Once for each lease. Raises BudgetsUnavailable."""
        ...

    async def look(self, claims: tuple[Claim, ...]) -> tuple[Level, ...]:
        """How the limits stand. Raises BudgetsUnavailable."""
        ...

    async def close(self) -> None:
        """Finish what is under way, and give up all connections."""
        ...


class Used(NamedTuple):
    """A window as a ledger has it: what was taken, and the seconds until the last of it leaves."""

    amount: int
    reset: float


def levels_of(claim: Claim, flying: int, used: Sequence[Used]) -> list[Level]:
    """How the limits of one claim stand; what has no limit is left out."""
    caps, levels = claim.caps, list[Level]()
    if caps.concurrency is not None:
        levels.append(Level(claim.whose, "concurrency", caps.concurrency, flying, SOON_SECONDS if flying else 0))
    for measure, rate, (amount, reset) in zip(MEASURES, caps.rates, used, strict=True):
        if rate is not None:
            unit = NANO if measure == "dollars" else 1
            levels.append(Level(claim.whose, measure, rate.amount / unit, amount / unit, reset, rate.seconds))
    return levels
