"""The words and marks of a sentence, as everything that reads one sees them."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from serving.claims.lexicon import term

_TOKEN = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*|[,;:()|.!?\u2013\u2014]|#+")


class Token(NamedTuple):
    """A word, a mark, or a run of "#" where a figure stood."""

    text: str
    folded: str
    term: str  # "" for a word that says nothing by itself, and for punctuation

    @property
    def breaks(self) -> bool:
        return not self.text[0].isalpha() and self.text[0] != "#"


def tokens_of(text: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(text):
        written = match[0]
        folded = written.casefold()
        yield Token(written, folded, term(folded) if written[0].isalpha() else "")
