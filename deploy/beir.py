"""Collections of documents and judged questions in BEIR's files, read whole or refused with the line that is wrong."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from retrieval.errors import RetrievalError

ALL = "all"
_LAYOUTS = ("qrels_{split}.tsv", "qrels/{split}.tsv")
_UNNAMED = ("qrels.tsv", "test")  # a collection with one set of judgements does not name it
_TREC_COLUMNS = 4


class BeirError(RetrievalError):
    """A folder that is no collection as BEIR lays one out; the text names the file and the line."""


class _Row(msgspec.Struct, frozen=True):
    id: Annotated[str, msgspec.Meta(min_length=1)] | int = msgspec.field(name="_id")
    text: str | None = None
    title: str | None = None
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class BeirDocument:
    """A document as the collection names it; title or text may be empty."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class BeirQuestion:
    """A question with whatever else the collection tells of it."""

    id: str
    text: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Beir:
    """`judged` has, for each question of the split, grades by document: above 0 is relevant.

    `questions` are those of all splits.
    """

    name: str
    split: str
    documents: Sequence[BeirDocument]
    questions: Mapping[str, BeirQuestion]
    judged: Mapping[str, Mapping[str, int]]

    @property
    def asked(self) -> list[BeirQuestion]:
        """The questions of the split that have a relevant document, in the order of the file."""
        relevant = {name for name, grades in self.judged.items() if any(grade > 0 for grade in grades.values())}
        return [one for name, one in self.questions.items() if name in relevant]


def load_beir(folder: Path, split: str) -> Beir:
    """`corpus.jsonl`, `queries.jsonl` and the split's judgements, all of them for `ALL`. Errors: BeirError."""
    documents = [_document(row) for row in _rows(folder / "corpus.jsonl")]
    name, times = Counter(one.id for one in documents).most_common(1)[0] if documents else ("", 0)
    if times != 1:
        raise BeirError(f"'corpus.jsonl' has {f'the document {name!r} {times} times' if times else 'no documents'}")
    questions = {one.id: one for one in map(_question, _rows(folder / "queries.jsonl"))}
    judged: dict[str, dict[str, int]] = {}
    for path in _files(folder, split):
        _judge(path, questions, judged)
    return Beir(folder.resolve().name, split, documents, questions, judged)


def _document(row: _Row) -> BeirDocument:
    return BeirDocument(str(row.id), row.title or "", row.text or "")


def _question(row: _Row) -> BeirQuestion:
    return BeirQuestion(str(row.id), row.text or "", row.metadata or {})


def _rows(path: Path) -> Iterator[_Row]:
    decoder = msgspec.json.Decoder(_Row)
    for number, line in _lines(path):
        try:
            yield decoder.decode(line)
        except msgspec.DecodeError as error:
            raise BeirError(f"line {number} of {path.name!r} is not an object with _id and text: {error}") from error


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that say something, counted from 1."""
    try:
        with path.open(encoding="utf-8") as file:
            yield from ((number, line) for number, line in enumerate(file, start=1) if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise BeirError(f"{path.name!r} of {path.parent.name!r} cannot be read: {error}") from error


def _files(folder: Path, split: str) -> list[Path]:
    there = _splits(folder)
    if split != ALL and split not in there:
        raise BeirError(f"{folder.name!r} has no judgements called {split!r}: there are {sorted(there) or 'none'}")
    return list(there.values()) if split == ALL else [there[split]]


def _splits(folder: Path) -> dict[str, Path]:
    """The files of judgements, by what they are called."""
    found = {_UNNAMED[1]: folder / _UNNAMED[0]} if (folder / _UNNAMED[0]).is_file() else {}
    for layout in _LAYOUTS:
        before, after = layout.format(split="*").split("*")
        for path in sorted(folder.glob(layout.format(split="*"))):
            name = path.relative_to(folder).as_posix().removeprefix(before).removesuffix(after)
            found.setdefault(name, path)
    return found


def _judge(path: Path, questions: Mapping[str, BeirQuestion], judged: dict[str, dict[str, int]]) -> None:
    for number, line in _lines(path):
        question, document, grade = _judgement(line.rstrip("\r\n").split("\t"), number, path.name)
        if grade is None:
            continue
        if question not in questions:
            raise BeirError(f"line {number} of {path.name!r} judges the question {question!r}, which does not exist")
        judged.setdefault(question, {})[document] = grade


def _judgement(cells: list[str], number: int, name: str) -> tuple[str, str, int | None]:
    """Question, document and grade; no grade for the header. TREC's files have a column that nobody reads."""
    if len(cells) == _TREC_COLUMNS:
        del cells[1]
    try:
        question, document, grade = cells
        return question, document, int(float(grade))
    except ValueError as error:
        if number == 1 and len(cells) == _TREC_COLUMNS - 1:
            return "", "", None
        told = "question, document and a number, with tabs between them"
        raise BeirError(f"line {number} of {name!r} is not {told}: {json.dumps(cells)[:80]}") from error
