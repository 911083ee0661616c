"""The cells of the matrix, and what a caller may get in each."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

from tests.faults.asking import Outcome
from tests.faults.proxy import DIRECTIONS, FAULTS, Direction, Fault
from tests.faults.site import LINKS, SECONDS

Moment = Literal["before", "at", "during"]
MOMENTS: tuple[Moment, ...] = get_args(Moment)
MARGIN, RESTORED_WITHIN = 1.0, 30.0
LATE = "deadline_exceeded"
SLOWS: set[Fault] = {"latency", "bandwidth", "slow close"}
ENDS: dict[str, tuple[str, set[Moment]]] = {
    "PostgreSQL": ("catalog_unavailable", {"before", "at"}),
    "Qdrant": ("store_unavailable", {"before", "at"}),
    "engine": ("engine_unavailable", {"before", "at", "during"}),
    "JWKS": ("issuer_unavailable", {"before"}),
}
"""The error of a link, and when an answer cannot do without it. Nothing needs Redis."""


@dataclass(frozen=True)
class Cell:
    """One fault."""

    link: str
    fault: Fault
    direction: Direction
    moment: Moment

    def __str__(self) -> str:
        return f"{self.link}, {self.fault}, {self.direction} it, {self.moment}"


CELLS = [Cell(*one) for one in product(LINKS, FAULTS, DIRECTIONS, MOMENTS)]


def allowed(cell: Cell) -> set[str]:
    """The errors that an answer may end with. What is slow costs nobody the answer, but for its deadline."""
    error, moments = ENDS.get(cell.link, ("", set[Moment]()))
    if cell.moment not in moments:
        return set()
    return {LATE} if cell.fault in SLOWS else {error, LATE}


def violations(cell: Cell, outcome: Outcome, whole: str) -> Iterator[str]:
    """What of the contract does not hold."""
    if outcome.seconds - outcome.starved > SECONDS + MARGIN:
        yield f"it took {outcome.seconds:.1f} s, of which {outcome.starved:.1f} without a processor"
    if outcome.done and (outcome.code is not None or outcome.text != whole):
        yield f"it ended well with {outcome.text!r} and {outcome.code}"
    if not outcome.done and outcome.code not in allowed(cell):
        yield f"it ended with {outcome.status} {outcome.code}"
    if not whole.startswith(outcome.text):
        yield f"it said {outcome.text!r}"
    if outcome.status not in (200, 504 if outcome.code == LATE else 503):
        yield f"{outcome.code} came as {outcome.status}"
    if outcome.status == 503 and outcome.retry_after is None:
        yield "nobody is told when to come back"
