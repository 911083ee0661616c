"""Where sentences, list items and table rows of a text begin and end, in code points."""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from serving.claims.lexicon import word_set
from serving.markers import MARKER_PATTERN

_LINE = re.compile(r"[^\n]*\n?")
_BULLET = re.compile(r"\s*(?:[-*+\u2022\u2013]|\(?\d{1,3}[.)]|\(?[a-z]\))\s+")
_HEADING = re.compile(r"\s*#{1,6}\s")
_ROW = re.compile(r"\s*\|.*\||[^|\n]+(?:\s\|\s[^|\n]+)+|[^\t\n]+(?:\t[^\t\n]*)+")
_ROW_RULE = re.compile(r"[\s|:+-]+")
_STRONG_END = re.compile(r"[.!?:;\u2026\u3002]\W*$")
_END = re.compile(
    r"[.!?\u2026\u3002\uff01\uff1f](?:(?<=[\u3002\uff01\uff1f])"
    r"|[.!?\u2026]*[\"'\u201d\u2019\u00bb)\]*_]*(?:\s*" + MARKER_PATTERN + r")*(?=\s|$))"
)
_ABBREVIATIONS = word_set(
    """e.g i.e etc vs cf approx ca no nos nr art sec fig figs eq p pp vol ch al mr mrs ms dr prof st jr sr inc ltd co
    corp dept est min max incl excl z.b d.h u.a bzw usw evtl ggf inkl zzgl abs str tel mio mrd vgl m mme mlle env"""
)
_MONTHS = re.compile(r"\s*(?:Jan|Feb|M\u00e4r|Mar|Apr|Mai|Jun|Jul|Aug|Sep|Okt|Nov|Dez)")

SHORT_LINE = 50  # a shorter line before a capital is not a wrapped one

Kind = Literal["sentence", "item", "row", "heading"]


class Span(NamedTuple):
    """One sentence, list item or table row, without the white space around it; `block` numbers its paragraph or
    table."""

    start: int
    end: int
    kind: Kind
    block: int


class _Line(NamedTuple):
    start: int
    end: int
    kind: Kind
    text: str


def split_sentences(text: str) -> tuple[Span, ...]:
    """Spans from left to right, not overlapping; markers after a full stop belong to the sentence before them.

    A line break ends a sentence where a list item, table row, heading or blank line stands beside it, or where the
    line ends like a sentence. Abbreviations, initials, decimals and ordinals do not end one.
    """
    spans: list[Span] = []
    for block, (start, end, kind) in enumerate(_blocks(text)):
        if kind == "row":
            spans.append(Span(start, end, kind, block))
        else:
            spans.extend(Span(*piece, kind, block) for piece in _split(text, start, end))
    return tuple(spans)


def _blocks(text: str) -> Iterator[tuple[int, int, Kind]]:
    """Runs of lines that belong together; every table row alone."""
    run: list[_Line] = []
    for line in _lines(text):
        if run and (line is None or not _continues(run[-1], line)):
            yield run[0].start, run[-1].end, run[0].kind
            run = []
        if line is not None:
            run.append(line)
    if run:
        yield run[0].start, run[-1].end, run[0].kind


def _lines(text: str) -> Iterator[_Line | None]:
    """Lines with their kind; None for a blank one. Ruling lines of tables are left out."""
    for found in _LINE.finditer(text):
        line = found[0].rstrip()
        if not line:
            yield None
        elif not _ROW_RULE.fullmatch(line):
            yield _Line(found.start(), found.start() + len(line), _kind(line), line)


def _kind(line: str) -> Kind:
    if ("|" in line or "\t" in line) and _ROW.fullmatch(line):
        return "row"
    if _BULLET.match(line):
        return "item"
    return "heading" if _HEADING.match(line) else "sentence"


def _continues(before: _Line, line: _Line) -> bool:
    if line.kind != "sentence" or before.kind in ("row", "heading") or _STRONG_END.search(before.text):
        return False
    return len(before.text) >= SHORT_LINE or not line.text[0].isupper()


def _split(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    begin = start
    bullet = _BULLET.match(text, start, end)
    for found in _END.finditer(text, bullet.end() if bullet else start, end):
        stop = found.end()
        if stop >= end or not found[0].startswith(".") or _ends_sentence(text, begin, found.start(), stop):
            yield _trimmed(text, begin, stop)
            begin = stop
    if text[begin:end].strip():
        yield _trimmed(text, begin, end)


def _ends_sentence(text: str, begin: int, dot: int, stop: int) -> bool:
    rest = text[stop : stop + 12].lstrip()
    if rest[:1].islower():
        return False
    word = text[max(begin, dot - 24) : dot].rpartition(" ")[2].lstrip("(\"'\n")
    if len(word) <= 2 and word.isdigit():
        return _MONTHS.match(rest) is None
    return not (word.casefold() in _ABBREVIATIONS or (len(word) == 1 and word.isupper()))


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    begin = start + len(piece) - len(piece.lstrip())
    return begin, begin + len(piece.strip())
