"""How a passage grows: by whole sentences, rows and items, nearest first, within its section."""

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from retrieval.passages.view import View

_LINES = re.compile(r"[^\n]*\n+|[^\n]+")
_SENTENCES = re.compile("(?<=[.!?\u2026])[\"'\u201d\u2019\u00bb)\\]]*\\s+|(?<=[\u3002\uff01\uff1f])")
_TABLE = 4  # times the room for growth that the rest of a table may take


@dataclass(frozen=True, slots=True)
class Edges:
    """Where a passage begins and ends, and where the passages of the same document before and after it do."""

    start: int
    end: int
    before: int | None = None
    after: int | None = None


def grown(view: View, edges: Edges, room: int, count_tokens: Callable[[str], int]) -> tuple[int, int]:
    """Where the passage begins and ends when it has taken in up to `room` tokens.

    A table that it is part of comes first, if the rest of it counts no more than four times the room.
    """
    growth = _Growth(view, edges, count_tokens)
    left = room - growth.take_table(_TABLE * room)
    growth.take_units(left)
    return growth.start, growth.end


class _Growth:
    """A passage and how far it may reach; `_open` tells for both sides that the text goes on beyond what was read."""

    def __init__(self, view: View, edges: Edges, count_tokens: Callable[[str], int]) -> None:
        lower, upper = view.section(edges.start, edges.end)
        self._view, self._count = view, count_tokens
        self._lower = max(lower, edges.before or 0)
        self._upper = min(upper, view.end if edges.after is None else edges.after)
        self._open = (self._lower == view.start > 0, self._upper == view.end and not view.complete)
        self.start, self.end = edges.start, edges.end

    def take_table(self, most: int) -> int:
        """Complete the tables that the passage begins and ends in, if they were read whole; the tokens that it took."""
        before, after = self._rows_before(), self._rows_after()
        if before is None or after is None:
            return 0
        tokens = self._count(before) + self._count(after)
        if tokens > most:
            return 0
        self.start, self.end = self.start - len(before), self.end + len(after)
        return tokens

    def take_units(self, room: int) -> None:
        """Take what stands next to the passage, after it and before it in turns, while it fits."""
        after = deque(self._after())
        before = deque(reversed(self._before()))
        while after or before:
            for side, forwards in ((after, True), (before, False)):
                tokens = self._count(side[0].strip()) if side else 0
                if tokens > room:
                    side.clear()
                elif side:
                    room -= tokens
                    self._extend(side.popleft(), forwards=forwards)
        self._trim()

    def _extend(self, unit: str, *, forwards: bool) -> None:
        if forwards:
            self.end += len(unit)
        else:
            self.start -= len(unit)

    def _trim(self) -> None:
        """Begin and end with a visible character."""
        text = self._view.words(self.start, self.end)
        self.start += len(text) - len(text.lstrip())
        self.end -= len(text) - len(text.rstrip())

    def _before(self) -> list[str]:
        units = list(_units(self._view.words(self._lower, self.start)))
        return units[1:] if self._open[0] else units

    def _after(self) -> list[str]:
        units = list(_units(self._view.words(self.end, self._upper)))
        return units[:-1] if self._open[1] else units

    def _rows_before(self) -> str | None:
        """The rows of its table before the passage, if it begins with one; None where there are more than were read."""
        _, gap, rest = self._view.words(self._lower, self.start).rpartition("\n\n")
        rows, cut = rest.lstrip("\n"), self._open[0] and not gap
        first = self._view.words(self.start, self.end).split("\n", 1)[0]
        if not rows.endswith("\n") or not _all_rows([*rows.split("\n")[cut:-1], first]):
            return ""
        return None if cut else rows

    def _rows_after(self) -> str | None:
        """The rows after it, likewise."""
        rest, gap, _ = self._view.words(self.end, self._upper).partition("\n\n")
        rows, cut = rest.rstrip("\n"), self._open[1] and not gap
        last = self._view.words(self.start, self.end).rsplit("\n", 1)[-1]
        lines = rows.split("\n")[1:]
        if not rows.startswith("\n") or not _all_rows([last, *lines[: len(lines) - cut]]):
            return ""
        return None if cut else rows


def _all_rows(lines: list[str]) -> bool:
    return all("|" in line for line in lines)


def _units(text: str) -> Iterator[str]:
    """All of a text: its lines, and those that are no rows by sentences, each with the space after it."""
    for line in _LINES.findall(text):
        start = 0
        for found in () if "|" in line else _SENTENCES.finditer(line):
            yield line[start : found.end()]
            start = found.end()
        if line[start:]:
            yield line[start:]
