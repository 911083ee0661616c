"""Where a question points back: its pronouns, "the test", "what about …", and what it leaves out."""

from collections.abc import Sequence
from itertools import pairwise

from serving.followups.phrases import Phrase, Word
from serving.followups.topics import introduces
from serving.followups.words import (
    ASKING,
    AUXILIARIES,
    BREAKING,
    DEICTIC,
    EMPTY_BEFORE,
    FOLLOWING_EMPTY,
    GENERAL,
    JOINING,
    OPENING,
    POINTING,
    REFERRING_AFTER,
    STANDING_FOR,
    SUBORDINATE,
)


def pronoun_of(words: Sequence[Word]) -> int | None:
    """The place of the first pronoun, None where there is none."""
    return next((place for place in range(len(words)) if _points_back(words, place)), None)


def explains(until: Sequence[Word], phrases: Sequence[Phrase]) -> bool:
    """The pronoun that `until` ends with stands for a phrase of an earlier clause of the same question.

    So it does in "What is mortadella and where is it from?".
    """
    clauses = [word.start for word, after in pairwise(until) if _ends_a_clause(word, after)]
    return bool(clauses) and any(phrase.end <= clauses[-1] for phrase in phrases)


def leaves_out(words: Sequence[Word], phrases: Sequence[Phrase]) -> bool:
    """The question is about something that it does not name."""
    if _asks_what_about(words) or _names_the(words, phrases):
        return True
    if introduces(words, phrases):
        return False
    opening = words[0].base in OPENING or words[-1].base == "there"
    return opening or not phrases or any(word.base in STANDING_FOR for word in words)


def _points_back(words: Sequence[Word], place: int) -> bool:
    """Pronouns do; "this" and its kin before a verb, a small word or the end only, as "this tradition" is a phrase."""
    base = words[place].base
    after = words[place + 1].base if place + 1 < len(words) else ""
    if base not in DEICTIC:
        return base in POINTING and not (base == "it" and _is_empty(words[place + 1 : place + 3]))
    return (not place or words[place - 1].base in REFERRING_AFTER) and (not after or after in BREAKING | GENERAL)


def _is_empty(after: Sequence[Word]) -> bool:
    """The "it" of "how long does it take to move" stands for nothing."""
    return len(after) > 1 and after[0].base in EMPTY_BEFORE and after[1].base in FOLLOWING_EMPTY


def _ends_a_clause(word: Word, after: Word) -> bool:
    opens = after.base in ASKING or after.base in AUXILIARIES
    if word.opens or word.base in SUBORDINATE or (after.pause and opens):
        return True
    return word.base in JOINING and (opens or after.base in POINTING)


def _asks_what_about(words: Sequence[Word]) -> bool:
    return len(words) > 1 and words[0].base in ("what", "how") and words[1].base == "about"


def _names_the(words: Sequence[Word], phrases: Sequence[Phrase]) -> bool:
    """The first phrase is one plain word with "the" and nothing that says which: "How reliable is the test?"."""
    first = phrases[0] if phrases else None
    if first is None or first.article != "the" or first.name or len(first.stems) > 1:
        return False
    after = next((word.base for word in words if word.start >= first.end), "")
    return after not in REFERRING_AFTER - AUXILIARIES and after not in ASKING
