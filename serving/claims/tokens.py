"""The words and marks of a sentence, as everything that reads one sees them."""

import re
from functools import lru_cache
from typing import NamedTuple

from serving.claims.lexicon import term

_TOKEN = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*|[,;:()|.!?\u2013\u2014]|#+")


class Token(NamedTuple):
    """A word, a mark, or a run of "#" where a figure stood."""

    text: str
    folded: str
    term: str  # "" for a word that says nothing by itself, and for punctuation
    breaks: bool  # a mark
    shouted: bool  # a word of two letters or more, with a capital beyond its first


def tokens_of(text: str) -> list[Token]:
    return [_token(written) for written in _TOKEN.findall(text)]


@lru_cache(maxsize=1 << 15)
def _token(written: str) -> Token:
    """Made once a word: the words of all texts are few."""
    folded, is_word = written.casefold(), written[0].isalpha()
    shouted = len(written) > 1 and (written.isupper() or written[1:] != folded[1:])
    return Token(written, folded, term(folded) if is_word else "", not is_word and written[0] != "#", shouted)
