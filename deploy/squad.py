"""Articles with questions whose answers are spans of them, in SQuAD's format, read whole or refused."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from deploy.beir import BeirDocument, BeirError

_LONGEST_TITLE = 200
# Files count from white space before an answer, or in a text that lost some characters since.
_OFF = 8


class _Answer(msgspec.Struct, frozen=True):
    text: str
    answer_start: int


class _Question(msgspec.Struct, frozen=True):
    id: str | int
    question: str
    answers: list[_Answer] = []


class _Paragraph(msgspec.Struct, frozen=True):
    context: str
    qas: list[_Question] = []


class _Article(msgspec.Struct, frozen=True):
    paragraphs: list[_Paragraph]
    title: str | None = None


class _File(msgspec.Struct, frozen=True):
    data: list[_Article]


@dataclass(frozen=True, slots=True)
class SpanQuestion:
    """`answer` is the `nth` place, from 0, at which `document` says these words."""

    id: str
    text: str
    document: str
    answer: str
    nth: int


@dataclass(frozen=True, slots=True)
class Squad:
    """Articles as documents, and the questions that they answer."""

    name: str
    documents: Sequence[BeirDocument]
    questions: Sequence[SpanQuestion]


def load_squad(path: Path) -> Squad:
    """A file, or the one JSON file of a folder. Errors: BeirError."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if len(files) != 1:
        raise BeirError(f"{path.name!r} has {len(files)} JSON files: name the one that has articles and questions")
    try:
        held = msgspec.json.decode(files[0].read_bytes(), type=_File)
    except (OSError, msgspec.DecodeError) as error:
        raise BeirError(f"{files[0].name!r} is not in SQuAD's format: {error}") from error
    told = [(one.title, part) for one in held.data for part in one.paragraphs]
    documents = [_document(number, title, part.context) for number, (title, part) in enumerate(told)]
    questions = [
        _question(one, str(number), part.context)
        for number, (_, part) in enumerate(told)
        for one in part.qas
        if one.answers
    ]
    return Squad(path.resolve().stem, documents, questions)


def places(answer: str, text: str) -> Iterator[tuple[int, int]]:
    """Where a text says an answer, however its white space is set."""
    words = r"\s+".join(map(re.escape, answer.split()))
    return (match.span() for match in re.finditer(words, text)) if words else iter(())


def _document(number: int, title: str | None, text: str) -> BeirDocument:
    """An article without a title is called by its first line."""
    lines = (line for raw in text.splitlines() if (line := raw.strip()))
    return BeirDocument(str(number), title or next(lines, "")[:_LONGEST_TITLE], text)


def _question(question: _Question, document: str, context: str) -> SpanQuestion:
    answer = question.answers[0]
    away = [abs(start - answer.answer_start) for start, _ in places(answer.text, context)]
    if min(away, default=_OFF + 1) > _OFF:
        raise BeirError(
            f"the answer of the question {str(question.id)!r} does not stand at character {answer.answer_start}"
        )
    return SpanQuestion(str(question.id), question.question, document, answer.text, away.index(min(away)))
