"""What a conversation is about: the phrases of its turns, weighed by place, age and how often they come back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from serving.followups.phrases import Phrase, Word, phrases_of, words_of
from serving.followups.words import INTRODUCING

# Found on the training half of the conversations that the evaluation reads; all of them may be half or double.
DECAY = 0.7  # what a turn's phrases weigh, of those of the turn after it
ABOUT, FIRST, LATER = 2.5, 1.0, 0.5  # what the turn asks about, else its first phrase, and all others
CARRIED = 1.0  # a topic that the turn left out or pointed back to
ASPECT = 0.3  # of its weight: "health effects" are of something
ANSWERED = 0.2  # a name in an answer: only what nothing else fits is taken from there
ANSWER_CHARACTERS = 300  # of an answer that are read: it begins with what it is about
ANSWER_NAMES = 3


@dataclass(frozen=True, slots=True)
class Topic:
    """A phrase, and how much a turn or the conversation is about it."""

    phrase: Phrase
    weight: float


def asked_about(
    words: Sequence[Word], phrases: Sequence[Phrase], carried: Phrase | None, *, pointed: bool
) -> list[Topic]:
    """What a user's turn is about: the topic it carried on, by pointing back to it or not, and its own phrases."""
    if carried is None:
        first = ABOUT if len(phrases) == 1 or introduces(words, phrases) else FIRST
        kept = []
    else:
        first = LATER if pointed else FIRST
        kept = [Topic(carried, CARRIED)]
    weights = (first if place == 0 else LATER for place in range(len(phrases)))
    own = [Topic(one, weight * (ASPECT if one.aspect else 1.0)) for one, weight in zip(phrases, weights, strict=True)]
    return kept + own


def told_of(answer: str, *, who: bool) -> list[Topic]:
    """The names that an answer begins with: it is the model's text over documents, so nothing else of it counts.

    `who`: it was asked who something is, so that it is about them.
    """
    beginning = answer[:ANSWER_CHARACTERS]
    names = [phrase for phrase in phrases_of(beginning, words_of(beginning)) if phrase.name]
    return [Topic(name, FIRST if who else ANSWERED) for name in names[:ANSWER_NAMES]]


def introduces(words: Sequence[Word], phrases: Sequence[Phrase]) -> bool:
    """The turn asks what something is or to be told about it, and nothing else: "What is X?", "Tell me about X"."""
    if not phrases:
        return False
    before = (word.base for word in words if word.end <= phrases[0].start)
    return INTRODUCING.issuperset(before) and not any(word.start >= phrases[0].end for word in words)


def weighed(turns: Sequence[Sequence[Topic]]) -> list[Topic]:
    """The topics of a conversation, whose turns come oldest first: the weightiest first, of equals the newer."""
    mentions = list(_aged(turns))
    newest = {mention.phrase.stems: mention.phrase for mention in mentions}
    found = [Topic(phrase, _weight(phrase, mentions)) for phrase in reversed(newest.values())]
    return sorted(found, key=lambda topic: -topic.weight)


def _aged(turns: Sequence[Sequence[Topic]]) -> Iterator[Topic]:
    for age, turn in zip(reversed(range(len(turns))), turns, strict=True):
        for mention in turn:
            yield Topic(mention.phrase, DECAY**age * mention.weight)


def _weight(phrase: Phrase, mentions: Sequence[Topic]) -> float:
    return sum(mention.weight for mention in mentions if mention.phrase.stems == phrase.stems)
