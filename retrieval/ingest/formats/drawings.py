"""Text in DrawingML, which shapes, tables and diagrams of presentations are written in."""

from collections.abc import Iterator
from dataclasses import dataclass

from retrieval.ingest.formats.xmltree import Element

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_COMPATIBILITY = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_TEXTS = frozenset((f"{_A}t", "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"))
_BULLETS = tuple(f"{_A}{name}" for name in ("buChar", "buAutoNum", "buBlip"))
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Its visible text; `bullet` is None where it says nothing of being an item."""

    text: str
    depth: int = 0
    bullet: bool | None = None
    ordered: bool = False


def unwrap_alternatives(root: Element) -> None:
    """Put what newer programs show in the place of the choice between it and a picture of it."""
    for choice in list(root.iter(f"{_COMPATIBILITY}AlternateContent")):
        parent, wanted = choice.getparent(), choice.find(f"{_COMPATIBILITY}Choice")
        if parent is not None:
            place = parent.index(choice)
            parent.remove(choice)
            parent[place:place] = list(wanted) if wanted is not None else []


def paragraphs(root: Element) -> Iterator[Paragraph]:
    """Those under an element that hold text."""
    for element in root.iter(f"{_A}p"):
        if (text := _text(element)).strip():
            yield _paragraph(element, text)


def rows(root: Element) -> list[list[str]]:
    """The cells of a table, row by row."""
    return [
        [" ".join(one.text for one in paragraphs(cell)) for cell in row.iter(f"{_A}tc")] for row in root.iter(f"{_A}tr")
    ]


def _text(paragraph: Element) -> str:
    pieces = []
    for element in paragraph.iter():
        if element.tag in _TEXTS:
            pieces.append(element.text or "")
        elif element.tag == f"{_A}br":
            pieces.append("\n")
    return "".join(pieces)


def _paragraph(element: Element, text: str) -> Paragraph:
    properties = element.find(f"{_A}pPr")
    if properties is None:
        return Paragraph(text)
    level = properties.get("lvl", "0")
    depth = min(int(level), _DEEPEST) if level.isdecimal() and len(level) < 4 else 0
    ordered = properties.find(f"{_A}buAutoNum") is not None
    if properties.find(f"{_A}buNone") is not None:
        return Paragraph(text, depth, bullet=False)
    return Paragraph(text, depth, True if any(properties.find(one) is not None for one in _BULLETS) else None, ordered)
