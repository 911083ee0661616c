"""Citation markers in an answer, `[2]` or `[1, 3]`: their grammar, and the filter that removes those pointing nowhere.

Numbers run from 1 to 999 without leading zeros, so `[sic]`, `[0]`, `[2026]` and `[x](url)` are ordinary brackets. An
index such as `a[7]` cannot be told from a citation and counts as one: a false citation is worse than a lost index.
"""

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass

MARKER_PATTERN = r"\[[1-9]\d{0,2}(?: ?, ?[1-9]\d{0,2})*\]"
_MARKER = re.compile(MARKER_PATTERN, re.ASCII)
ANY_MARKER = range(1, 1_000)
_LONGEST = 40
_INSIDE = frozenset("0123456789, ")
_NO_SPACE_BEFORE = frozenset(" \t\n.,;:!?)")


@dataclass(frozen=True, slots=True)
class Marker:
    """One bracket of an answer: its span in code points and the passages it names, in order."""

    start: int
    end: int
    numbers: tuple[int, ...]


def find_markers(text: str) -> Iterator[Marker]:
    """Every citation marker in `text`, from left to right."""
    for found in _MARKER.finditer(text):
        yield Marker(found.start(), found.end(), _numbers(found[0]))


def blank_markers(text: str) -> str:
    """`text` at the same length with spaces in place of its markers."""
    return _MARKER.sub(lambda found: " " * len(found[0]), text) if "[" in text else text


def strip_markers(text: str) -> str:
    """`text` without its markers and the space before each."""
    if "[" not in text:
        return text
    markers = MarkerFilter(())
    return markers.feed(text) + markers.flush()


def _numbers(marker: str) -> tuple[int, ...]:
    return tuple(int(number) for number in marker[1:-1].split(","))


class MarkerFilter:
    """Removes from a streamed text the markers that are not in `valid`, with one space before each.

    The outcome is the same at every split of the stream. Only a space or an open bracket at the very end of what was
    fed is held back; `flush` gives what is left once the stream is over. `removed` counts the numbers taken out.
    """

    __slots__ = ("_bracket", "_gap", "_nested", "_space", "_valid", "removed")

    def __init__(self, valid: Container[int]) -> None:
        self._valid = valid
        self._space = ""  # a space held back, because a marker to be removed might follow it
        self._gap = False  # that space stood before a removed marker: it goes too unless a word follows directly
        self._bracket = ""
        self._nested = False  # an unfinished bracket has been passed on right before: the next must not complete it
        self.removed = 0

    def feed(self, text: str) -> str:
        """What of the stream can be passed on now."""
        if not (self._space or self._bracket or self._nested or "[" in text or text.endswith(" ")):
            return text
        return "".join(map(self._step, text))

    def flush(self) -> str:
        """The rest, at the end of the stream."""
        if not self._bracket:
            return "" if self._gap else self._take_space()
        return self._give_up_bracket()

    def _step(self, character: str) -> str:
        if self._bracket:
            return self._inside(character)
        if character == "[":
            self._bracket = character
            return ""
        self._nested = self._nested and character in _INSIDE
        if character == " ":
            held = "" if self._gap else self._space
            self._space, self._gap = character, False
            return held
        if self._gap and character in _NO_SPACE_BEFORE:
            self._take_space()
        return self._take_space() + character

    def _inside(self, character: str) -> str:
        if character == "]":
            return self._close()
        if character in _INSIDE and len(self._bracket) < _LONGEST:
            self._bracket += character
            return ""
        self._nested = character == "["
        return self._give_up_bracket() + self._step(character)

    def _close(self) -> str:
        self._bracket += "]"
        if not _MARKER.fullmatch(self._bracket):
            return self._give_up_bracket()
        numbers = _numbers(self._bracket)
        kept = [number for number in numbers if number in self._valid]
        self.removed += len(numbers) - len(kept)
        if len(kept) == len(numbers):
            return self._give_up_bracket()
        self._bracket = f"[{', '.join(map(str, kept))}]" if kept else ""
        if kept:
            return self._give_up_bracket()
        if self._nested:
            return self._take_space() + "?"
        self._gap = bool(self._space)
        return ""

    def _give_up_bracket(self) -> str:
        text, self._bracket = self._take_space() + self._bracket, ""
        return text

    def _take_space(self) -> str:
        space, self._space, self._gap = self._space, "", False
        return space
