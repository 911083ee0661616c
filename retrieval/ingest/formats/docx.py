"""Word documents: headings, lists and tables in the order of the body, as they read with all changes accepted."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field

import docx
from docx.document import Document
from docx.opc.exceptions import OpcError
from docx.oxml.ns import qn
from docx.oxml.xmlchemy import BaseOxmlElement as Element

from retrieval.ingest.blocks import BlockWriter, Parsed, ParseError
from retrieval.ingest.formats.archive import check_archive
from retrieval.ingest.formats.wordstyles import Role, Roles, read_roles

_MALFORMED = (OpcError, SyntaxError, KeyError, ValueError, AttributeError, TypeError, IndexError, AssertionError)
_OFFICE = ("w:del", "w:moveFrom", "w:instrText", "w:pPr", "w:rPr", "w:tblPr", "w:delText")
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_LEFT_OUT = frozenset(map(qn, _OFFICE)) | {_FALLBACK}
_PLAIN = {qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:tab"): " ", qn("w:noBreakHyphen"): "-", qn("w:p"): "\n"}
_TEXT = (qn("w:t"), qn("m:t"))
_WRAPPERS = frozenset(map(qn, ("w:sdt", "w:sdtContent", "w:ins", "w:moveTo", "w:customXml", "w:smartTag")))
_P, _R, _TBL, _TR, _TC = qn("w:p"), qn("w:r"), qn("w:tbl"), qn("w:tr"), qn("w:tc")
_VANISH = f"{qn('w:rPr')}/{qn('w:vanish')}"


def read(raw: bytes) -> Parsed:
    """A .docx; its title is its first title or heading of level 1, else the title in its properties."""
    if not any(name.startswith("word/") for name in check_archive(raw)):
        raise ParseError("a zip archive that is no DOCX file")
    try:
        return _read(docx.Document(io.BytesIO(raw)))
    except _MALFORMED as error:
        raise ParseError("the DOCX file is malformed") from error


def _read(document: Document) -> Parsed:
    body = _Body(read_roles(document))
    for element in _children(document.element.body, (_P, _TBL)):
        body.take(element)
    return body.out.finish(otherwise=document.core_properties.title)


def _children(parent: Element, wanted: tuple[str, ...]) -> Iterator[Element]:
    """Children of these kinds, also those in content controls and accepted insertions."""
    stack = list(reversed(parent))
    while stack:
        element = stack.pop()
        if element.tag in wanted:
            yield element
        elif element.tag in _WRAPPERS:
            stack.extend(reversed(element))


def _text(root: Element) -> str:
    """Visible text under an element."""
    pieces: list[str] = []
    stack = [root]
    while stack:
        element = stack.pop()
        if element.tag in _LEFT_OUT or (element.tag == _R and _is_hidden(element)):
            continue
        if element.tag in _TEXT:
            pieces.append(element.text or "")
        elif element is not root:
            pieces.append(_PLAIN.get(str(element.tag), ""))
        stack.extend(reversed(element))
    return "".join(pieces)


def _is_hidden(run: Element) -> bool:
    vanish = run.find(_VANISH)
    return vanish is not None and vanish.get(qn("w:val")) not in ("0", "false", "off")


@dataclass(slots=True)
class _Body:
    """Writes paragraphs and tables as they come, and counts the items of numbered lists."""

    roles: Roles
    out: BlockWriter = field(default_factory=BlockWriter)
    _counts: dict[tuple[str, int], int] = field(default_factory=dict)

    def take(self, element: Element) -> None:
        if element.tag == _TBL:
            self.out.close_lists()
            rows = _children(element, (_TR,))
            self.out.table([[_text(cell) for cell in _children(row, (_TC,))] for row in rows])
        elif text := _text(element).strip():
            self._paragraph(text, self.roles.of(element))

    def _paragraph(self, text: str, role: Role) -> None:
        if role.depth is not None:
            number = self._count(role.counter, role.depth)
            self.out.item_at(role.depth, number if role.ordered else None, text)
            return
        self.out.close_lists()
        if role.heading is None:
            self.out.paragraph(text)
        else:
            self.out.heading(role.heading, text)

    def _count(self, counter: str, depth: int) -> int:
        """This item's number; deeper levels begin anew."""
        for deeper in range(depth + 1, 9):
            self._counts.pop((counter, deeper), None)
        number = self._counts.get((counter, depth), 0) + 1
        self._counts[counter, depth] = number
        return number
