"""Headings of a PDF: those that the layout engine ran together taken apart, levels by the size of their type."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from liteparse.types import LayoutBlock, ParsedPage, TextItem

_WRAPPED = 1.45
_NUMBERED = re.compile(r"\d{1,2}[.)]?\s")
_DEEPEST = 6
_MOST_WORDS = 200


@dataclass(frozen=True, slots=True)
class Line:
    """One heading; `size` is 0.0 where its type could not be found."""

    text: str
    size: float


def split(page: ParsedPage, block: LayoutBlock, text: str) -> list[Line]:
    """A heading block's `text`, cut where font, size or line distance change."""
    items = _items(page, block, text)
    if not items:
        return [Line(text, 0.0)]
    groups = [[items[0]]]
    for before, item in pairwise(items):
        if _belong(before, item):
            groups[-1].append(item)
        else:
            groups.append([item])
    return [Line(" ".join(item.text for item in group), _size(group[0])) for group in groups]


def levels(lines: Iterable[Line]) -> dict[float, int]:
    """Level by size: the largest is 1, those whose size is unknown are the deepest in use."""
    sizes = sorted({line.size for line in lines}, reverse=True)
    return {size: min(rank, _DEEPEST) for rank, size in enumerate(sizes, start=1)}


def is_list(lines: Sequence[Line]) -> bool:
    """Whether what was taken for headings is a numbered list in larger type."""
    return len(lines) > 1 and all(_NUMBERED.match(line.text) for line in lines)


def _items(page: ParsedPage, block: LayoutBlock, text: str) -> list[TextItem]:
    """The words that make up a heading, found from where it begins; none unless they spell it out."""
    wanted, found = _letters(text), []
    for item in _from(page, block):
        letters = _letters(item.text)
        if not wanted or not wanted.startswith(letters):
            break
        wanted = wanted.removeprefix(letters)
        found.append(item)
    return [] if wanted else found


def _from(page: ParsedPage, block: LayoutBlock) -> Sequence[TextItem]:
    area = block.bbox
    if area is None:
        return []
    for index, item in enumerate(page.text_items):
        middle = item.y + item.height / 2
        if area.y <= middle <= area.y + area.height and item.x >= area.x - 1:
            return page.text_items[index : index + _MOST_WORDS]
    return []


def _letters(text: str) -> str:
    return "".join(text.split())


def _belong(before: TextItem, item: TextItem) -> bool:
    if before.font_name != item.font_name or _size_differs(before, item):
        return False
    return item.y - before.y <= _WRAPPED * (before.font_size or before.height)


def _size_differs(before: TextItem, item: TextItem) -> bool:
    return abs((before.font_size or 0.0) - (item.font_size or 0.0)) > 0.6


def _size(item: TextItem) -> float:
    return round((item.font_size or 0.0) * 2) / 2
