"""Tables whose cells are drawn with lines: which words stand in which cell."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from liteparse.types import AnnotationRect, ParsedPage, TextItem

_SLACK = 3.0
_LEAST_HEIGHT = 0.5


def ruled_rows(page: ParsedPage, area: AnnotationRect | None) -> list[list[str]] | None:
    """Rows of cell texts in an area by its ruled lines; None where the lines make no grid that holds all its words."""
    if area is None or page.vector_graphics is None:
        return None
    columns, rows = _columns(page, area), _rows(page, area)
    words = [item for item in page.text_items if _holds(area, item)]
    if len(columns) < 3 or len(rows) < 3 or not all(_is_within(columns, rows, item) for item in words):
        return None
    return _fill(columns, rows, words)


def _columns(page: ParsedPage, area: AnnotationRect) -> list[float]:
    lines = page.vector_graphics.lines if page.vector_graphics else []
    upright = (line for line in lines if abs(line.x1 - line.x2) < 1)
    tall = (line for line in upright if _overlap(line.y1, line.y2, area.y, area.height) > _LEAST_HEIGHT * area.height)
    return _distinct(line.x1 for line in tall if -_SLACK < line.x1 - area.x < area.width + _SLACK)


def _rows(page: ParsedPage, area: AnnotationRect) -> list[float]:
    lines = page.vector_graphics.lines if page.vector_graphics else []
    level = (line for line in lines if abs(line.y1 - line.y2) < 1)
    wide = (line for line in level if _overlap(line.x1, line.x2, area.x, area.width) > _LEAST_HEIGHT * area.width)
    return _distinct(line.y1 for line in wide if -_SLACK < line.y1 - area.y < area.height + _SLACK)


def _overlap(one: float, other: float, start: float, length: float) -> float:
    return min(max(one, other), start + length) - max(min(one, other), start)


def _distinct(places: Iterable[float]) -> list[float]:
    kept: list[float] = []
    for place in sorted(places):
        if not kept or place - kept[-1] > _SLACK:
            kept.append(place)
    return kept


def _middle(item: TextItem) -> float:
    return item.y + item.height / 2


def _holds(area: AnnotationRect, item: TextItem) -> bool:
    inside = area.x - _SLACK <= item.x <= area.x + area.width + _SLACK
    return inside and area.y <= _middle(item) <= area.y + area.height


def _is_within(columns: Sequence[float], rows: Sequence[float], item: TextItem) -> bool:
    return columns[0] <= item.x + 1 < columns[-1] and rows[0] <= _middle(item) < rows[-1]


def _fill(columns: Sequence[float], rows: Sequence[float], words: Sequence[TextItem]) -> list[list[str]]:
    table = [[""] * (len(columns) - 1) for _ in range(len(rows) - 1)]
    for item in sorted(words, key=lambda one: (round(one.y), one.x)):
        row, column = bisect_right(rows, _middle(item)) - 1, bisect_right(columns, item.x + 1) - 1
        table[row][column] = f"{table[row][column]} {item.text}".strip()
    return table
