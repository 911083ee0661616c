"""What was made of words is held for the next time: those of all texts are few."""

import re
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")
_ROOM = 1 << 14  # words
_LONGEST = 24  # characters
_WORD = re.compile(r"\W{0,3}[^\W\d_]+(?:['\u2019-][^\W\d_]+)*\W{0,3}|\W+|\S{1,4}")


class Vocabulary(dict[str, Value]):
    """By what is written between two white spaces. It begins anew when it is full.

    Only words are held: what may tell of a text or of somebody, such as an address or a long number, is made anew.
    """

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[str], Value]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, written: str) -> Value:
        value = self._make(written)
        if is_word(written):
            if len(self) >= _ROOM:
                self.clear()
            self[written] = value
        return value


def is_word(written: str) -> bool:
    """A word with the marks around it, or too short to be more than one."""
    return len(written) <= _LONGEST and _WORD.fullmatch(written) is not None
