"""The words and marks of a sentence, as everything that reads one sees them."""

import re
from itertools import chain
from typing import NamedTuple

from serving.claims.lexicon import NUMBER_WORDS, stem, term
from serving.vocabulary import Vocabulary

_TOKEN = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*|[,;:()|.!?\u2013\u2014]|#+")
_RAW = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*|\d+(?:[.,]\d+)*")


class Token(NamedTuple):
    """A word, a mark, or a run of "#" where a figure stood."""

    text: str
    folded: str
    stem: str
    term: str  # the stem, "" for a word that says nothing by itself, and for punctuation
    breaks: bool  # a mark
    shouted: bool  # a word of two letters or more, with a capital beyond its first


def tokens_of(text: str) -> list[Token]:
    return list(chain.from_iterable(map(_TOKENS.__getitem__, text.split())))


def quick_terms(text: str) -> frozenset[str]:
    """Content words and plain numbers, figures not told from them: enough to find the windows worth reading."""
    return frozenset(chain.from_iterable(map(_QUICK_TERMS.__getitem__, text.split())))


def _tokens(written: str) -> tuple[Token, ...]:
    return tuple(map(_token, _TOKEN.findall(written)))


def _quick_terms(written: str) -> tuple[str, ...]:
    raw = _RAW.findall(written.casefold())
    return *filter(None, map(term, raw)), *(NUMBER_WORDS[word] for word in raw if word in NUMBER_WORDS)


def _token(text: str) -> Token:
    folded, is_word = text.casefold(), text[0].isalpha()
    shouted = len(text) > 1 and (text.isupper() or text[1:] != folded[1:])
    breaks = not is_word and text[0] != "#"
    return Token(text, folded, stem(folded), term(folded) if is_word else "", breaks, shouted)


# No token goes beyond a white space.
_TOKENS = Vocabulary(_tokens)
_QUICK_TERMS = Vocabulary(_quick_terms)
