"""Golden questions: who asks what, and which documents ought to be found."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.sampling import SAMPLE, caller_principals
from retrieval.acl import Principal
from retrieval.errors import RetrievalError


class GoldenError(RetrievalError):
    """A file of golden questions that cannot be read; the text names the line."""


@dataclass(frozen=True, slots=True)
class GoldenQuestion:
    """One question as one caller asks it; `documents` are all that hold the answer, none where nothing does."""

    question: str
    caller: str
    principal: Principal
    documents: tuple[str, ...]
    split: str | None = None


def sample_golden() -> list[GoldenQuestion]:
    """The sample corpus' own answerable questions."""
    return load_golden(SAMPLE / "golden.jsonl")


def load_golden(path: Path) -> list[GoldenQuestion]:
    """The answerable questions of a file."""
    return [one for one in load_questions(path) if one.documents]


def load_questions(path: Path, split: str | None = None) -> list[GoldenQuestion]:
    """All questions of a file, or those of one split, also those that nothing answers, whose `documents` are empty.

    JSON lines: `question`, `documents`, and who asks: `tenant`, `subject`, `groups`, or a `caller` of the sample.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise GoldenError(f"{path.name!r} cannot be read: {error}") from error
    read = [_read(line, path.name, number) for number, line in enumerate(lines, start=1) if line.strip()]
    return [one for one in read if split in (None, one.split)]


def _read(line: str, name: str, number: int) -> GoldenQuestion:
    try:
        row = json.loads(line)
        principal = principal_of(row)
        documents = tuple(row["documents"])
        return GoldenQuestion(str(row["question"]), principal.subject, principal, documents, row.get("split"))
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        told = "a JSON object with question, documents and tenant, subject, groups (or a caller of the sample)"
        raise GoldenError(f"line {number} of {name!r} is not {told}: {error}") from error


def principal_of(row: dict[str, Any]) -> Principal:
    """Who asks a question; KeyError when neither a tenant nor a caller of the sample is named."""
    if "tenant" in row:
        return Principal(row["tenant"], row.get("subject", ""), frozenset(row.get("groups", ())), frozenset())
    return caller_principals()[row["caller"]]
