"""PowerPoint presentations: slides as pages under their titles, shapes as they are read, then the speaker's notes."""

import io
from collections.abc import Iterable, Iterator
from itertools import count

import pptx
from pptx.exc import PythonPptxError
from pptx.oxml.ns import qn
from pptx.presentation import Presentation
from pptx.shapes.base import BaseShape
from pptx.shapes.graphfrm import GraphicFrame
from pptx.shapes.group import GroupShape
from pptx.slide import Slide

from retrieval.ingest.blocks import BlockWriter, Parsed, ParseError, one_line
from retrieval.ingest.formats import charts
from retrieval.ingest.formats.archive import check_archive
from retrieval.ingest.formats.drawings import Paragraph, paragraphs, rows, unwrap_alternatives
from retrieval.ingest.formats.xmltree import read_xml

_MALFORMED = (
    PythonPptxError,
    SyntaxError,
    KeyError,
    ValueError,
    AttributeError,
    TypeError,
    IndexError,
    AssertionError,
    NotImplementedError,
)
_MOST_SLIDES = 2000
_TITLES = ("title", "ctrTitle")
_FURNITURE = ("dt", "ftr", "hdr", "sldNum", "sldImg")
_LISTS = ("obj", "body")
_RELATION = qn("r:dm")
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"


def read(raw: bytes) -> Parsed:
    """A .pptx; its title is that of its first slide that has one, else the title in its properties."""
    if not any(name.startswith("ppt/") for name in check_archive(raw)):
        raise ParseError("a zip archive that is no PPTX file")
    try:
        return _read(pptx.Presentation(io.BytesIO(raw)))
    except _MALFORMED as error:
        raise ParseError("the PPTX file is malformed") from error


def _read(presentation: Presentation) -> Parsed:
    out = BlockWriter()
    for number, slide in _slides(presentation):
        out.page = number
        out.begin_part()
        _write_slide(out, slide)
        _write_notes(out, slide)
    return out.finish(otherwise=presentation.core_properties.title)


def _slides(presentation: Presentation) -> Iterator[tuple[int, Slide]]:
    """Those that are shown, each once, by their number in the presentation."""
    if len(presentation.slides) > _MOST_SLIDES:
        raise ParseError(f"the presentation has more than {_MOST_SLIDES} slides")
    seen = set()
    for number, slide in enumerate(presentation.slides, start=1):
        name = slide.part.partname
        if name not in seen and slide.element.get("show") not in ("0", "false"):
            seen.add(name)
            yield number, slide


def _write_slide(out: BlockWriter, slide: Slide) -> None:
    unwrap_alternatives(slide.element)
    shapes = list(_in_reading_order(slide.shapes))
    for shape in shapes:
        if _role(shape) in _TITLES:
            out.heading(1, " ".join(one.text for one in paragraphs(shape.element)))
    for shape in shapes:
        if _role(shape) not in _TITLES + _FURNITURE:
            _write_shape(out, shape)
    out.close_lists()


def _in_reading_order(shapes: Iterable[BaseShape]) -> Iterator[BaseShape]:
    """From top to bottom, then left to right; a group is read as a whole where it begins."""
    for shape in sorted(shapes, key=lambda one: (one.top or 0, one.left or 0)):
        if isinstance(shape, GroupShape):
            yield from _in_reading_order(shape.shapes)
        else:
            yield shape


def _role(shape: BaseShape) -> str | None:
    """What kind of placeholder it is, None where it is none."""
    placeholder = next(shape.element.iter(qn("p:ph")), None)
    return None if placeholder is None else str(placeholder.get("type", "obj"))


def _write_shape(out: BlockWriter, shape: BaseShape) -> None:
    if not isinstance(shape, GraphicFrame):
        _write_text(out, list(paragraphs(shape.element)), is_list=_role(shape) in _LISTS)
        return
    out.close_lists()
    if shape.has_table:
        out.table(rows(shape.element))
    elif shape.has_chart:
        charts.write(out, shape.chart)
    else:
        _write_text(out, list(_diagram(shape)), is_list=True)


def _write_text(out: BlockWriter, texts: list[Paragraph], *, is_list: bool) -> None:
    """A body of several paragraphs is a list unless they say otherwise; other text is one if it says so."""
    by_default = is_list and len(texts) > 1
    numbers = count(1)
    for one in texts:
        if one.bullet or (one.bullet is None and by_default):
            out.item_at(one.depth, next(numbers) if one.ordered else None, one.text)
        else:
            out.close_lists()
            out.paragraph(one.text)
    out.close_lists()


def _diagram(frame: GraphicFrame) -> Iterator[Paragraph]:
    """The texts of a diagram, which stand in a part of their own."""
    for one in frame.element.iter(f"{_DIAGRAM}relIds"):
        data = read_xml(frame.part.related_part(one.get(_RELATION)).blob)
        for point in data.iter(f"{_DIAGRAM}pt"):
            if point.get("type", "node") == "node":
                yield from paragraphs(point)


def _write_notes(out: BlockWriter, slide: Slide) -> None:
    frame = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
    texts = [one.text for one in paragraphs(frame._element)] if frame is not None else []
    if any(map(one_line, texts)):
        out.heading(2, "Notes")
        for text in texts:
            out.paragraph(text)
