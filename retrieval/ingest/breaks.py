"""The chunker tree-2: of all ways to break a section that is too long for one chunk, the one that costs least.

Every chunk costs, the more the emptier it is, and so does a break where it hurts: inside a block, after a heading,
after the line that leads in a list. Rows, items and sentences are never broken if they fit, and a chunk that goes on
with a table has the table's first row above it. Whole sections share a chunk only with their siblings.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from retrieval.ingest.blocks import Block
from retrieval.ingest.cut import Cutter, Span
from retrieval.ingest.sections import Section, Stretch, sections

# What a break costs, where one more chunk costs 1 and up to 1 more for being empty: no block that fits into a chunk is
# broken to save one, and only where there is no room at all is a heading left behind.
_IN_ROW, _IN_BLOCK, _AFTER_LEAD_IN, _AFTER_HEADING = 4.0, 2.5, 1.0, 20.0
_GRAINS = 16  # to a budget: no finer, or a table of a hundred thousand short rows would take minutes


def break_up(blocks: Sequence[Block], cutter: Cutter, limit: int) -> Iterator[Stretch]:
    """All blocks in stretches of no more than the cutter's budget; one row or item alone may count up to `limit`."""
    whole: list[_Unit] = []
    before: Section | None = None
    for section in sections(blocks):
        units = [_Unit(cutter.span(block.start, block.end), block) for block in section.blocks]
        if before is not None and section.is_sibling(before) and _fit(cutter, [*whole, *units]):
            whole, before = [*whole, *units], section
            continue
        if whole:
            yield _stretch(cutter, whole)
        if _fit(cutter, units):
            whole, before = units, section
        else:
            fine = [part for unit in units for part in _coarsened(cutter, list(_fine(cutter, unit, limit)))]
            yield from (_stretch(cutter, part) for part in _broken(cutter, fine))
            whole, before = [], None
    if whole:
        yield _stretch(cutter, whole)


@dataclass(frozen=True, slots=True)
class _Unit:
    """What stays whole. `parting` is what it costs to break after it; later rows of a table know the first."""

    span: Span
    block: Block
    parting: float = 0.0
    header: Span | None = None

    @property
    def above(self) -> int:
        """Tokens of what has to stand above it where a chunk begins with it."""
        return self.header.tokens if self.header else 0

    def gap(self, after: "_Unit") -> int:
        """By how many tokens joining it with the next may miss their sum."""
        return max(2, after.span.start - self.span.end)


def _stretch(cutter: Cutter, units: Sequence[_Unit]) -> Stretch:
    header = units[0].header
    above = cutter.text[header.start : header.end] if header else ""
    return Stretch(units[0].span.start, units[-1].span.end, tuple(unit.block for unit in units), above)


def _fit(cutter: Cutter, units: Sequence[_Unit]) -> bool:
    tokens = sum(unit.span.tokens for unit in units)
    doubt = sum(unit.gap(after) for unit, after in pairwise(units))
    return cutter.fits(units[0].span, units[-1].span, tokens, doubt) is not None


def _fine(cutter: Cutter, unit: _Unit, limit: int) -> Iterator[_Unit]:
    """A block as the units that it may be broken between."""
    block = unit.block
    header = _header(cutter, unit) if block.kind == "table" else None
    above = header.tokens if header else 0
    spans = list(cutter.units(unit.span, block.kind, max(limit - above, cutter.budget - above)))
    for place, span in enumerate(spans):
        last = place == len(spans) - 1
        yield _Unit(span, block, _parting(cutter.text, span, block, last=last), header if place else None)


def _coarsened(cutter: Cutter, units: Sequence[_Unit]) -> Iterator[_Unit]:
    """The units of a block, those that are very short together with the next."""
    grain = cutter.budget / _GRAINS
    held: _Unit | None = None
    for unit in units:
        if held is None:
            held = unit
        elif held.span.tokens + unit.span.tokens <= grain:
            held = _Unit(cutter.span(held.span.start, unit.span.end), unit.block, unit.parting, held.header)
        else:
            yield held
            held = unit
    if held is not None:
        yield held


def _header(cutter: Cutter, table: _Unit) -> Span | None:
    """A table's first row, unless it has one column or leaves too little room for what stands below it."""
    end = cutter.text.find("\n", table.span.start, table.span.end)
    row = cutter.span(table.span.start, table.span.end if end < 0 else end)
    has_columns = "|" in cutter.text[row.start : row.end]
    return row if end >= 0 and has_columns and row.tokens <= cutter.budget // 3 else None


def _parting(text: str, span: Span, block: Block, *, last: bool) -> float:
    if block.kind == "heading":
        return _AFTER_HEADING
    if last:
        return _AFTER_LEAD_IN if text[span.end - 1] == ":" else 0.0
    return _IN_ROW if block.kind == "table" and text[span.end] != "\n" else _IN_BLOCK


def _broken(cutter: Cutter, units: Sequence[_Unit]) -> Sequence[Sequence[_Unit]]:
    """Chunks of a section. Most tokenizers count a text as the sum of its parts: where it is none, room is left."""
    parts = _cheapest(cutter, units, doubted=False)
    if all(len(part) == 1 or _exact(cutter, part) <= cutter.budget for part in parts):
        return parts
    return _cheapest(cutter, units, doubted=True)


def _exact(cutter: Cutter, part: Sequence[_Unit]) -> int:
    return cutter.count(cutter.text[part[0].span.start : part[-1].span.end]) + part[0].above


def _cheapest(cutter: Cutter, units: Sequence[_Unit], *, doubted: bool) -> list[Sequence[_Unit]]:
    """Where breaks cost least; of equals, where later chunks are shorter."""
    costs, starts = [0.0], [0]
    for end in range(1, len(units) + 1):
        options = ((costs[start] + cost, start) for start, cost in _endings(cutter, units, end, doubted=doubted))
        cost, start = min(options, key=lambda option: option[0])
        costs.append(cost + (units[end - 1].parting if end < len(units) else 0.0))
        starts.append(start)
    parts, end = [], len(units)
    while end:
        parts.append(units[starts[end] : end])
        end = starts[end]
    return parts[::-1]


def _endings(cutter: Cutter, units: Sequence[_Unit], end: int, *, doubted: bool) -> Iterator[tuple[int, float]]:
    """The chunks that may end before unit `end`: the unit each begins with, and its cost."""
    budget, tokens = cutter.budget, 0
    for start in range(end - 1, -1, -1):
        unit = units[start]
        tokens += unit.span.tokens + (unit.gap(units[start + 1]) if doubted and start < end - 1 else 0)
        counted = tokens + unit.above
        if counted <= budget or start == end - 1:
            yield start, 1.0 + max(0.0, 1.0 - counted / budget) ** 2
        elif tokens > budget:
            return
