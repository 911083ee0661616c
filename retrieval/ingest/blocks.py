"""What a parsed document is, and the writer through which every format makes one."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from retrieval.errors import RetrievalError

PARSER = "blocks-1"
"""Part of an index recipe: changes whenever the text or the blocks of any document would."""

BlockKind = Literal["heading", "paragraph", "list", "table", "code"]

_LONGEST_HEADING = 300
_NEWLINES = re.compile("\r\n?|[\v\f\x85\u2028\u2029]")
# Controls, and what a reader cannot see: soft hyphens, zero-width and direction marks, tag characters, non-characters.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ufdd0-\ufdef\ud800-\udfff\U000e0000-\U000e0fff]"
)
_SPACES = re.compile(r"[^\S\n]+")


class ParseError(RetrievalError):
    """A document that cannot be parsed; `reason` says why in words fit for an operator, and names no path."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of `Parsed.text`; offsets are code points, `page` counts from 1: a PDF's page, a presentation's slide.

    `heading` is the path of headings it stands under; a heading's own path ends with itself.
    """

    kind: BlockKind
    start: int
    end: int
    heading: tuple[str, ...]
    page: int | None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document as text, its blocks in order and apart. `metadata` is front matter and never decides access."""

    title: str | None
    text: str
    blocks: tuple[Block, ...]
    metadata: Mapping[str, str]


def normalise(text: str) -> str:
    """NFC, `\\n` for every line break, spaces for tabs, nothing a reader could not see."""
    seen = _UNSEEN.sub("", _NEWLINES.sub("\n", text))
    return unicodedata.normalize("NFC", seen.expandtabs(4))


def one_line(text: str) -> str:
    """The text with every run of whitespace as one space."""
    return " ".join(normalise(text).split())


def _prose(text: str) -> str:
    lines = (line.strip() for line in _SPACES.sub(" ", normalise(text)).split("\n"))
    return "\n".join(line for line in lines if line)


def _verbatim(text: str) -> str:
    lines = [line.rstrip() for line in normalise(text).split("\n")]
    return "\n".join(lines).strip("\n")


@dataclass(slots=True)
class BlockWriter:
    """Takes a document piece by piece in reading order; between `open_list` and `close_list` all goes into one list."""

    page: int | None = None
    _parts: list[str] = field(default_factory=list)
    _blocks: list[Block] = field(default_factory=list)
    _path: list[tuple[int, str]] = field(default_factory=list)
    _levels: list[int] = field(default_factory=list)
    _length: int = 0
    _lists: list[int | None] = field(default_factory=list)
    _depths: list[int] = field(default_factory=list)
    _lines: list[str] = field(default_factory=list)
    _marker: str | None = None

    @property
    def in_list(self) -> bool:
        """Whether a list is open."""
        return bool(self._lists)

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been written yet."""
        return not self._blocks

    def heading(self, level: int, text: str) -> None:
        """A heading; inside a list, or too long for one, it is prose."""
        line = one_line(text)
        if self._lists or len(line) > _LONGEST_HEADING:
            return self.paragraph(line)
        if not line:
            return
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        self._path.append((level, line))
        self._levels.append(level)
        self._emit("heading", line)

    def begin_part(self) -> None:
        """A slide, sheet or file of the document that stands under no heading of the one before it."""
        self.close_lists()
        self._path.clear()

    def paragraph(self, text: str) -> None:
        """Prose; its line breaks stay, blank lines go."""
        self._write("paragraph", _prose(text))

    def code(self, text: str) -> None:
        """Text whose spaces and blank lines mean something."""
        self._write("code", _verbatim(text))

    def listing(self, text: str) -> None:
        """A list that already has its markers."""
        self._write("list", _verbatim(text))

    def table(self, rows: Iterable[Iterable[str]]) -> None:
        """A table, one line a row, cells parted by ` | `; empty rows go."""
        cells = [[one_line(cell) for cell in row] for row in rows]
        self._write("table", "\n".join(" | ".join(row).strip() for row in cells if any(row)))

    def open_list(self, first: int | None) -> None:
        """A list, ordered from `first` or not at all."""
        self._lists.append(first)
        self._depths.append(len(self._depths))

    def item(self) -> None:
        """The next item of the innermost list."""
        number = self._lists[-1]
        self._marker = "- " if number is None else f"{number}. "
        if number is not None:
            self._lists[-1] = number + 1

    def item_at(self, depth: int, number: int | None, text: str) -> None:
        """An item of a document that states depths instead of nesting: opens and closes lists as needed."""
        while self._depths and self._depths[-1] > depth:
            self.close_list()
        if not self._depths or self._depths[-1] < depth:
            self.open_list(number)
            self._depths[-1] = depth
        self._lists[-1] = number
        self.item()
        self.paragraph(text)

    def close_lists(self) -> None:
        """End every open list."""
        while self._lists:
            self.close_list()

    def close_list(self) -> None:
        """End the innermost list."""
        self._lists.pop()
        self._depths.pop()
        self._marker = None
        if not self._lists:
            lines, self._lines = self._lines, []
            self._emit("list", "\n".join(lines))

    def finish(
        self, *, title: str | None = None, otherwise: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> Parsed:
        """The document, called `title`, else by its first top heading, else `otherwise`; ParseError without text."""
        self.close_lists()
        if not self._blocks:
            raise ParseError("there is no text in it")
        named = one_line(title or "") or self._first_heading(top=1) or one_line(otherwise or "") or None
        return Parsed(named, "\n\n".join(self._parts), tuple(self._blocks), metadata or {})

    def largest_heading(self) -> str | None:
        """The first heading of the highest level used."""
        return self._first_heading(top=min(self._levels, default=0))

    def _first_heading(self, top: int) -> str | None:
        headings = (block.heading[-1] for block in self._blocks if block.kind == "heading")
        return next((text for text, level in zip(headings, self._levels, strict=True) if level <= top), None)

    def _write(self, kind: BlockKind, text: str) -> None:
        if self._lists:
            self._list_lines(text)
        else:
            self._emit(kind, text)

    def _list_lines(self, text: str) -> None:
        lines = [line for line in text.split("\n") if line.strip()]
        indent = "  " * min(len(self._lists) - 1, 8)
        for line in lines:
            self._lines.append(indent + (self._marker if self._marker is not None else "  ") + line)
            self._marker = None

    def _emit(self, kind: BlockKind, text: str) -> None:
        if not text.strip():
            return
        start = self._length + 2 if self._parts else 0
        self._length = start + len(text)
        self._parts.append(text)
        self._blocks.append(Block(kind, start, self._length, tuple(line for _, line in self._path), self.page))
