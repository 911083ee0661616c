"""The rule: a follow-up with the topic put in that it points back to or leaves out; anything else as it was asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from serving.claims.lexicon import stem
from serving.followups.phrases import Phrase, Word, phrases_of, words_of
from serving.followups.pointing import explains, leaves_out, pronoun_of
from serving.followups.topics import Topic, asked_about, told_of, weighed
from serving.followups.words import BREAKING, GREETING, PERSONS, PLURAL, POSSESSIVE, RELATIONAL
from serving.generator import Message

LONGEST_FOLLOW_UP = 40  # words: what is longer says itself what it is about
_LONGEST_READ = 200  # words of a question in which its topics are looked for
TURN_CHARACTERS = 500  # of an earlier question that are read
TURNS = 12  # that are read, answers among them
MISFIT = 0.7  # of a topic's weight, where the pronoun is plural and the topic is not, or the reverse
ONE_NAME, NO_PERSON = 0.5, 0.1  # likewise for persons, where the topic is a single name, or none


@dataclass(frozen=True, slots=True)
class _Resolved:
    """`topic` is what was put in, None where nothing was; `pointed` when it took a pronoun's place."""

    question: str
    topic: Phrase | None = None
    pointed: bool = False


def stand_alone(question: str, history: Sequence[Message]) -> tuple[str, ...]:
    """The user's questions as they stand alone, oldest first, `question` last.

    Nothing is put in but at most one phrase of earlier turns, which is words and the blanks between them. Without a
    model: what it knows is English, and other languages are left as they are.
    """
    questions: list[str] = []
    about: list[Sequence[Topic]] = []
    for message in history[-TURNS:]:
        if message.role == "assistant":
            about.append(told_of(message.content, who=bool(questions) and _asks_who(questions[-1])))
        elif message.role == "user":
            questions.append(_read(message.content[:TURN_CHARACTERS], about))
    return (*questions, _read(question, about))


def _asks_who(question: str) -> bool:
    return any(word.base in ("who", "whom", "whose") for word in words_of(question)[:2])


def _read(question: str, about: list[Sequence[Topic]]) -> str:
    words = words_of(question)
    phrases = phrases_of(question, words[:_LONGEST_READ])
    resolved = _resolve(question, words, phrases, weighed(about))
    about.append(asked_about(words, phrases, resolved.topic, pointed=resolved.pointed))
    return resolved.question


def _resolve(question: str, words: Sequence[Word], phrases: Sequence[Phrase], topics: Sequence[Topic]) -> _Resolved:
    said = {stem(word.base) for word in words}
    unsaid = [topic for topic in topics if not said.issuperset(topic.phrase.stems)]
    if not unsaid or len(words) > LONGEST_FOLLOW_UP or all(word.base in GREETING for word in words):
        return _Resolved(question)
    place = pronoun_of(words)
    if place is not None:
        known = explains(words[: place + 1], phrases)
        return _Resolved(question) if known else _for_pronoun(question, words, place, unsaid)
    named = _named_in_full(question, words, unsaid)
    if named is not None:
        return named
    if leaves_out(words, phrases):
        return _Resolved(_with(question, words[-1], unsaid[0].phrase), unsaid[0].phrase)
    return _Resolved(question)


def _for_pronoun(question: str, words: Sequence[Word], place: int, topics: Sequence[Topic]) -> _Resolved:
    word = words[place]
    phrase = max(topics, key=lambda topic: topic.weight * _fit(word, topic.phrase)).phrase
    text = f"{phrase.article} {phrase.text}".strip()
    owns = word.base in POSSESSIVE or (word.base == "her" and not _ends_there(words, place))
    return _Resolved(_replaced(question, word, _possessive(text) if owns else text), phrase, pointed=True)


def _fit(pronoun: Word, phrase: Phrase) -> float:
    if pronoun.base in PERSONS:
        return 1.0 if phrase.name and len(phrase.stems) > 1 else ONE_NAME if phrase.name else NO_PERSON
    return 1.0 if phrase.plural == (pronoun.base in PLURAL) else MISFIT


def _ends_there(words: Sequence[Word], place: int) -> bool:
    return place + 1 == len(words) or words[place + 1].base in BREAKING


def _possessive(text: str) -> str:
    return f"{text}'" if text.endswith("s") else f"{text}'s"


def _named_in_full(question: str, words: Sequence[Word], topics: Sequence[Topic]) -> _Resolved | None:
    """The question with "the experiment" as "the Stanford Experiment", where that is a topic's last word."""
    for article, word in pairwise(words):
        if article.base != "the" or word.base in BREAKING | RELATIONAL:
            continue
        for topic in topics:
            if len(topic.phrase.stems) > 1 and topic.phrase.stems[-1] == stem(word.base):
                return _Resolved(_replaced(question, word, topic.phrase.text), topic.phrase)
    return None


def _replaced(question: str, word: Word, text: str) -> str:
    return f"{question[: word.start]}{text}{question[word.end :]}"


def _with(question: str, last: Word, phrase: Phrase) -> str:
    """The topic at the end: "main types of yoga" where the last word is of something, else in parentheses."""
    added = f" of {phrase.text}" if last.base in RELATIONAL else f" ({phrase.text})"
    return f"{question[: last.end]}{added}{question[last.end :]}"
