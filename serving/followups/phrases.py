"""The noun phrases of a turn, by cheap means: runs of words that are none of those holding a sentence together."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from serving.claims.lexicon import stem
from serving.followups.words import (
    ACTING,
    BREAKING,
    DOING,
    GERUNDS,
    LINKING,
    LY_NOUNS,
    NO_TOPIC,
    NOUNS_TOO,
    OWNING,
    RELATIONAL,
    SUBJECTS,
    TRIMMED,
)

LONGEST_PHRASE = 6
_WORD = re.compile(r"[^\W_]+(?:[-'\u2019.&+/][^\W_]+)*")
_CLITIC = re.compile(r"['\u2019](?:s|re|ll|d|ve|m)$")
_POSSESSIVE = ("'s", "\u2019s")
_NO_NOUN = ("able", "ible", "ed")
_ARTICLES = ("the", "a", "an")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text: `base` is in small letters and without 's or 're, and ends at `end`.

    A `capital` of a word that `opens` its sentence says nothing. `pause`: a comma stands before it.
    """

    base: str
    start: int
    end: int
    capital: bool
    opens: bool
    pause: bool

    @property
    def named(self) -> bool:
        """Written as part of a name, an abbreviation or a figure."""
        return self.capital and not self.opens and self.base not in ("i", "i'm")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A noun phrase as it is written from `start` to `end`: `stems` of its words, and the article before it."""

    text: str
    stems: tuple[str, ...]
    start: int
    end: int
    name: bool
    article: str

    @property
    def plural(self) -> bool:
        """By its ending."""
        last = self.text.split()[-1].casefold()
        return last.endswith("s") and not last.endswith(("ss", "us", "is", *_POSSESSIVE))

    @property
    def aspect(self) -> bool:
        """An aspect of something rather than a thing: "health effects"."""
        return not self.name and self.text.split()[-1].casefold() in RELATIONAL


def words_of(text: str) -> list[Word]:
    """Words with their places; a contraction counts as its first word."""
    return [_word(text, match) for match in _WORD.finditer(text)]


def _word(text: str, match: re.Match[str]) -> Word:
    plain, start = _CLITIC.sub("", match[0]), match.start()
    before = text[max(0, start - 3) : start].rstrip()
    opens = not before or before[-1] in ".?!:;"
    small = plain.lower()
    capital = small != plain or (not plain.isalpha() and any(map(str.isdigit, plain)))
    return Word(small.replace("\u2019", "'"), start, start + len(plain), capital, opens, before.endswith(","))


def phrases_of(text: str, words: Sequence[Word]) -> list[Phrase]:
    """Noun phrases in order; words that are of something else ("types", "history") make none by themselves.

    `words` are those of the text.
    """
    found = (_phrase(text, words, start, end) for start, end in _runs(text, words))
    return [phrase for phrase in found if phrase is not None]


def _runs(text: str, words: Sequence[Word]) -> Iterator[tuple[int, int]]:
    """Neighbours that are no breaking words; small words inside a name stay."""
    start: int | None = None
    for place, word in enumerate(words):
        if start is not None and _apart(text, words[place - 1], word):
            yield start, place
            start = None
        stays = not _breaks(words, place, inside=start is not None) or (start is not None and _links(words, place))
        if stays:
            start = place if start is None else start
        elif start is not None:
            yield start, place
            start = None
    if start is not None:
        yield start, len(words)


def _apart(text: str, left: Word, right: Word) -> bool:
    """More than a blank stands between: a comma, a bracket, or what something has ("Beacon's price")."""
    between = text[left.end : right.start].strip()
    return bool(between) and (between not in _POSSESSIVE or right.base in RELATIONAL)


def _breaks(words: Sequence[Word], place: int, *, inside: bool) -> bool:
    word, before = words[place], words[place - 1].base if place else ""
    if word.named and word.base not in LINKING:
        return False
    if before in OWNING and word.base in ACTING:
        return False  # "the notice period"
    if before in SUBJECTS:
        return True  # "how do I rotate a certificate"
    if word.base in GERUNDS:
        return not inside
    if inside and word.base in NOUNS_TOO:
        return _is_demanded(words, place)
    return word.base in BREAKING or (word.base.endswith("ly") and word.base not in LY_NOUNS)


def _is_demanded(words: Sequence[Word], place: int) -> bool:
    """The verb that "does" or "can" waits for, the last of such words: "what does a 529 plan cost"."""
    goes_on = place + 1 < len(words) and words[place + 1].base in ACTING
    return not goes_on and any(word.base in DOING for word in words[:place])


def _links(words: Sequence[Word], place: int) -> bool:
    """Holds a name together, maybe with a small word beside it: "Museum of the Earth"."""
    if words[place].base not in LINKING or not (words[place - 1].capital or words[place - 1].base in LINKING):
        return False
    following = next((word for word in words[place + 1 : place + 3] if word.base not in LINKING), None)
    return following is not None and following.named and not following.pause


def _phrase(text: str, words: Sequence[Word], at: int, to: int) -> Phrase | None:
    """The run without what only says how much or how good; None where nothing is left that says of what."""
    kept = list(words[at:to])
    while kept and kept[0].base in TRIMMED and not kept[0].named:
        kept = kept[1:]
    while kept and _says_no_thing(kept[-1]):
        kept = kept[:-1]
    if all(word.base in NO_TOPIC and not word.named for word in kept):
        return None
    kept = kept[-LONGEST_PHRASE:]
    start, end = kept[0].start, kept[-1].end
    article = words[at - 1].base if at and words[at - 1].base in _ARTICLES else ""
    stems = tuple(stem(word.base) for word in kept)
    return Phrase(" ".join(text[start:end].split()), stems, start, end, any(word.named for word in kept), article)


def _says_no_thing(word: Word) -> bool:
    return not word.named and (word.base in TRIMMED or word.base.endswith(_NO_NOUN))
