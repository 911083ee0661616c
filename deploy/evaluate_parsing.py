"""Every file of a collection through the parser's sandbox: read or refused, and how many expected words are found."""

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from deploy.measured import Measured
from retrieval.ingest.blocks import Parsed, ParseError
from retrieval.ingest.sandbox import ParserPool

FOLDER, EXPECTED = "docs_markitdown", "expected_outputs"
_WORD = re.compile(r"\w+")
_FAILED = ("the parser failed", "the parser crashed", "the parser gave", "it made the parser")


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of one file; `recall` is the share of the expected words that are in its text, None without any."""

    file: str
    format: str
    status: str
    reason: str | None
    seconds: float
    pages: int | None = None
    characters: int = 0
    recall: float | None = None

    def told(self) -> str:
        """In words, for a table."""
        if self.reason is not None:
            return f"refused: {self.reason}"
        pages = f"{self.pages} page{'s' * (self.pages > 1)}, " if self.pages else ""
        return f"{pages}{self.characters} characters, {self.seconds:.3f} s"


def measure_parsing(data: Path) -> Measured:
    """Figures over all files, and for each of them; does not hold when a file broke the parser."""
    folder = data / FOLDER
    with ParserPool() as pool:
        pool.parse("first.txt", b"so that no file pays for the start")
        readings = [_read(pool, path) for path in sorted(folder.iterdir()) if path.is_file()]
    whole = not any((one.reason or "").startswith(_FAILED) for one in readings)
    return Measured(_figures(readings), [asdict(one) for one in readings], whole)


def word_recall(expected: str, found: str) -> float | None:
    """The share of the expected words, each as often as it is expected, that were found."""
    due, there = (Counter(_WORD.findall(text.casefold())) for text in (expected, found))
    return (due & there).total() / due.total() if due else None


def _read(pool: ParserPool, path: Path) -> Reading:
    raw, started = path.read_bytes(), time.perf_counter()
    try:
        parsed = pool.parse(path.name, raw)
    except ParseError as error:
        return Reading(path.name, path.suffix[1:], "refused", error.reason, time.perf_counter() - started)
    return _reading(path, parsed, time.perf_counter() - started)


def _reading(path: Path, parsed: Parsed, seconds: float) -> Reading:
    expected = path.parent / EXPECTED / f"{path.stem}.md"
    # Several files are called `test`: what is expected is the text of the PDFs.
    has_text = expected.exists() and path.suffix == ".pdf"
    recall = word_recall(expected.read_text("utf-8"), parsed.text) if has_text else None
    pages = max((block.page for block in parsed.blocks if block.page is not None), default=None)
    return Reading(path.name, path.suffix[1:], "parsed", None, seconds, pages, len(parsed.text), recall)


def _figures(readings: Sequence[Reading]) -> Mapping[str, Mapping[str, Any]]:
    recalls = {one.file: one.recall for one in readings if one.recall is not None}
    refused = sum(one.status == "refused" for one in readings)
    return {
        "parsing": {
            "files": len(readings),
            "parsed": len(readings) - refused,
            "refused with a reason": refused,
            "seconds in all": sum(one.seconds for one in readings),
            "expected words found, mean": fmean(recalls.values()) if recalls else "none expected",
        },
        "parsing, expected words found": recalls,
        "parsing, files": {one.file: one.told() for one in readings},
    }
