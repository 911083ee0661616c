"""The characters of a text that others were put in place of: what it was before, and where that stands in it now."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Exchange:
    """From code point `start` of the text as it is shown on, `length` of them stand for `said`."""

    start: int
    length: int
    said: str


class Original:
    """A text as it was said. `exchanges`, in order, lead from there to the text as it is shown."""

    __slots__ = ("_gained", "_starts", "text")

    def __init__(self, shown: str, exchanges: Sequence[Exchange]) -> None:
        gains = [one.length - len(one.said) for one in exchanges]
        self._gained = [0, *accumulate(gains)]
        self._starts = [one.start - before for one, before in zip(exchanges, self._gained, strict=False)]
        parts: list[str] = []
        at = 0
        for one in exchanges:
            parts += (shown[at : one.start], one.said)
            at = one.start + one.length
        self.text = "".join([*parts, shown[at:]])

    def shown(self, span: tuple[int, int]) -> tuple[int, int]:
        """Where a stretch of the original stands in the text as it is shown."""
        start, end = span
        return self._place(start), self._place(end)

    def _place(self, offset: int) -> int:
        return offset + self._gained[bisect_left(self._starts, offset)]
