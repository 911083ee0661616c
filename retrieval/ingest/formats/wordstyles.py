"""Which paragraphs of a Word document are headings or list items, by their styles and numbering."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from docx.document import Document
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml.ns import qn
from docx.oxml.parser import parse_xml
from docx.oxml.xmlchemy import BaseOxmlElement as Element

_HEADING = re.compile(r"heading ([1-9])$", re.IGNORECASE)
_LIST = re.compile(r"list (bullet|number)(?: ([2-5]))?$", re.IGNORECASE)
_LONGEST_CHAIN = 12
_BODY_TEXT = 9
_VAL = qn("w:val")


@dataclass(frozen=True, slots=True)
class Role:
    """What a paragraph is: `heading` its level, 0 for the title; `depth` its list level from 0; `counter` its list."""

    heading: int | None = None
    depth: int | None = None
    ordered: bool = False
    counter: str = ""


_PROSE = Role()


@dataclass(frozen=True, slots=True)
class Roles:
    """Roles by style id, and per numbering id the levels that count."""

    styles: Mapping[str, Role]
    ordered: Mapping[str, frozenset[int]]

    def of(self, paragraph: Element) -> Role:
        """The role of a `w:p`; what it says itself comes before what its style says."""
        properties = paragraph.find(qn("w:pPr"))
        if properties is None:
            return _PROSE
        styled = self.styles.get(value(properties, "w:pStyle") or "", _PROSE)
        level = _outline(properties)
        if level is not None:
            return Role(heading=level) if level else _PROSE
        return styled if styled.heading is not None else _listed(properties, self.ordered) or styled


def read_roles(document: Document) -> Roles:
    """Every paragraph style's role, inherited along `basedOn`."""
    ordered = dict(_ordered_levels(document))
    elements = {_style_id(element): element for element in _styles(document).findall(qn("w:style"))}
    return Roles({name: _style_role(name, elements, ordered) for name in elements}, ordered)


@cache
def default_styles() -> Element:
    """The styles of a document that brings none, as the library has them; read from its files once."""
    return parse_xml(files("docx").joinpath("templates", "default-styles.xml").read_bytes())


def _styles(document: Document) -> Element:
    brings_styles = any(one.reltype == RELATIONSHIP_TYPE.STYLES for one in document.part.rels.values())
    return document.styles.element if brings_styles else default_styles()


def value(properties: Element, name: str) -> str | None:
    """The `w:val` of a child, None where there is no such child."""
    child = properties.find(qn(name))
    return None if child is None else str(child.get(_VAL) or "")


def _style_id(element: Element) -> str:
    return str(element.get(qn("w:styleId")) or "")


def _style_role(name: str, elements: Mapping[str, Element], ordered: Mapping[str, frozenset[int]]) -> Role:
    for _ in range(_LONGEST_CHAIN):
        element = elements.get(name)
        if element is None:
            return _PROSE
        role = _own_role(element, ordered)
        if role is not None:
            return role
        name = value(element, "w:basedOn") or ""
    return _PROSE


def _own_role(style: Element, ordered: Mapping[str, frozenset[int]]) -> Role | None:
    name = (value(style, "w:name") or "").strip()
    if name.lower() == "title":
        return Role(heading=0)
    if found := _HEADING.match(name):
        return Role(heading=int(found[1]))
    if found := _LIST.match(name):
        return Role(depth=int(found[2] or 1) - 1, ordered=found[1].lower() == "number", counter=name)
    properties = style.find(qn("w:pPr"))
    if properties is None:
        return None
    level = _outline(properties)
    return Role(heading=level) if level else _listed(properties, ordered)


def _outline(properties: Element) -> int | None:
    """The heading level that an outline level gives: 0 where it says that this is body text."""
    level = _number(value(properties, "w:outlineLvl"))
    return None if level is None else 0 if level >= _BODY_TEXT else level + 1


def _listed(properties: Element, ordered: Mapping[str, frozenset[int]]) -> Role | None:
    numbering = properties.find(qn("w:numPr"))
    if numbering is None:
        return None
    counter = value(numbering, "w:numId") or "0"
    depth = min(_number(value(numbering, "w:ilvl")) or 0, _BODY_TEXT - 1)
    return _PROSE if counter == "0" else Role(None, depth, depth in ordered.get(counter, frozenset()), counter)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 4 else None


def _ordered_levels(document: Document) -> Iterator[tuple[str, frozenset[int]]]:
    numbering = _numbering(document)
    if numbering is None:
        return
    kinds = {_attribute(one, "w:abstractNumId"): _counting(one) for one in numbering.findall(qn("w:abstractNum"))}
    for one in numbering.findall(qn("w:num")):
        yield _attribute(one, "w:numId"), kinds.get(value(one, "w:abstractNumId") or "", frozenset())


def _numbering(document: Document) -> Element | None:
    relations = document.part.rels.values()
    parts = [one.target_part for one in relations if one.reltype == RELATIONSHIP_TYPE.NUMBERING and not one.is_external]
    return parse_xml(parts[0].blob) if parts else None


def _counting(abstract: Element) -> frozenset[int]:
    levels = ((_number(_attribute(one, "w:ilvl")), value(one, "w:numFmt")) for one in abstract.findall(qn("w:lvl")))
    return frozenset(level for level, kind in levels if level is not None and kind not in ("bullet", "none"))


def _attribute(element: Element, name: str) -> str:
    return str(element.get(qn(name)) or "")
