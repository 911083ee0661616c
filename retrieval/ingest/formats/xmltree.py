"""XML parts of documents as trees: no entities, nothing fetched, no depth or length without bound."""

from lxml import etree
from lxml.etree import _Element as Element

from retrieval.ingest.blocks import ParseError

__all__ = ["Element", "read_xml"]

_ENTITIES = tuple("<!ENTITY".encode(encoding) for encoding in ("ascii", "utf-16-le", "utf-16-be", "utf-32-le"))


def read_xml(raw: bytes) -> Element:
    """The root element; ParseError when it is malformed or declares entities."""
    if any(mark in raw for mark in _ENTITIES):
        raise ParseError("an XML part of it declares entities")
    try:
        return etree.fromstring(raw, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    except etree.XMLSyntaxError as error:
        raise ParseError("an XML part of it is malformed") from error
