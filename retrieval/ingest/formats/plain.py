"""Plain text by its blank lines, and delimiter-separated tables."""

import csv
import io
import re

from retrieval.ingest.blocks import BlockWriter, Parsed, ParseError, normalise

_CAPITALS_LEVEL = 2
_BULLET = re.compile(r"\s*([-*\u2022\u2013]|\d{1,3}[.)])\s")
_UNDERLINES = {"=": 1, "-": 2, "~": 3}
_GAP = re.compile(r"\n(?:[^\S\n]*\n)+")


def read(text: str) -> Parsed:
    """Paragraphs between blank lines; lines underlined or all in capitals that open one are headings,
    the first of the document its title."""
    out = BlockWriter()
    for part in _GAP.split(normalise(text).strip("\n")):
        _part(out, part.split("\n"))
    return out.finish()


def _part(out: BlockWriter, lines: list[str]) -> None:
    level, taken = _heading(lines)
    if level:
        out.heading(1 if out.is_empty and not _BULLET.match(lines[0]) else level, lines[0])
    rest = "\n".join(lines[taken:])
    if _BULLET.match(rest):
        out.listing(rest)
    elif rest.startswith("    "):
        out.code(rest)
    else:
        out.paragraph(rest)


def _heading(lines: list[str]) -> tuple[int, int]:
    """Level of the heading that opens these lines and how many lines it takes; (0, 0) for none."""
    first = lines[0].strip()
    if len(lines) > 1 and first and (level := _underlined(first, lines[1].strip())):
        return level, 2
    return (_CAPITALS_LEVEL, 1) if _is_capitals(first) else (0, 0)


def _underlined(line: str, below: str) -> int:
    fits = len(below) >= 3 and len(set(below)) == 1 and abs(len(below) - len(line)) <= max(3, len(line) // 2)
    return _UNDERLINES.get(below[0], 0) if fits else 0


def _is_capitals(line: str) -> bool:
    letters = sum(map(str.isalpha, line))
    return line.isupper() and 3 <= len(line) <= 80 and letters * 2 > len(line) and line[-1] not in ".,;"


def read_table(text: str) -> Parsed:
    """A table of comma-, semicolon- or tab-separated values; ParseError when it is malformed."""
    first = text.lstrip().split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    out = BlockWriter()
    try:
        out.table(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise ParseError(f"not a well-formed table: {error}") from error
    return out.finish()
