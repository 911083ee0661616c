"""Where a question points back: its pronouns, "the test", "what about …", and what it leaves out."""

from collections.abc import Sequence
from itertools import dropwhile, pairwise

from serving.followups.phrases import Phrase, Word
from serving.followups.words import (
    ASKING,
    AUXILIARIES,
    BREAKING,
    DEICTIC,
    EMPTY_BEFORE,
    FOLLOWING_EMPTY,
    FRAGMENTS,
    GENERAL,
    JOINING,
    PLURAL,
    POINTING,
    POSSESSIVE,
    REFERRING_AFTER,
    SUBORDINATE,
    VERBS,
)


def pronoun_of(words: Sequence[Word]) -> int | None:
    """The place of the first pronoun, None where there is none."""
    return next((place for place in range(len(words)) if _points_back(words, place)), None)


def explains(until: Sequence[Word], phrases: Sequence[Phrase]) -> bool:
    """The pronoun that `until` ends with stands for a phrase of the same question.

    So it does after a clause with one, "What is mortadella and where is it from?", and so do "its" and "their" after
    one of their number, "How do plants protect their seeds?".
    """
    pronoun = until[-1]
    if pronoun.base in POSSESSIVE and any(_owns(phrase, pronoun) for phrase in phrases):
        return True
    clauses = [after.start for word, after in pairwise(until) if _ends_a_clause(word, after)]
    return bool(clauses) and any(phrase.end <= clauses[-1] for phrase in phrases)


def _owns(phrase: Phrase, pronoun: Word) -> bool:
    return phrase.end <= pronoun.start and not phrase.aspect and phrase.plural == (pronoun.base in PLURAL)


def leaves_out(words: Sequence[Word], phrases: Sequence[Phrase]) -> bool:
    """The question is about something that it does not name: "why?", "what about Spain?", "and in Spain?"."""
    if not phrases or _asks_what_about(words):
        return True
    fragment = words[0].base in FRAGMENTS and not any(word.base in VERBS | ASKING for word in words)
    return fragment or words[-1].base == "there"


def _points_back(words: Sequence[Word], place: int) -> bool:
    """Pronouns do; "this" and its kin before a verb, a small word or the end only, as "this tradition" is a phrase."""
    base = words[place].base
    after = words[place + 1].base if place + 1 < len(words) else ""
    if base not in DEICTIC:
        return base in POINTING and not (base == "it" and _is_empty(words[place + 1 :]))
    return (not place or words[place - 1].base in REFERRING_AFTER) and (not after or after in BREAKING | GENERAL)


def _is_empty(after: Sequence[Word]) -> bool:
    """The "it" of "how long does it take to move" stands for nothing."""
    rest = list(dropwhile(lambda word: word.base in EMPTY_BEFORE, after))
    return len(rest) < len(after) and bool(rest) and rest[0].base in FOLLOWING_EMPTY


def _ends_a_clause(word: Word, after: Word) -> bool:
    opens = after.base in ASKING or after.base in AUXILIARIES
    if word.opens or word.base in SUBORDINATE or (after.pause and opens):
        return True
    return word.base in JOINING and (opens or after.base in POINTING)


def _asks_what_about(words: Sequence[Word]) -> bool:
    return len(words) > 1 and words[0].base in ("what", "how") and words[1].base == "about"
