"""From a file's bytes to its text and blocks: tells formats apart by content, then by name; reads nothing else."""

import re
from collections.abc import Callable
from pathlib import PurePath

from retrieval.ingest.blocks import PARSER, Block, BlockKind, Parsed, ParseError
from retrieval.ingest.formats import docx, html, markdown, pdf, plain
from retrieval.ingest.formats.encoding import decode

__all__ = ["PARSER", "Block", "BlockKind", "ParseError", "Parsed", "parse"]

_TEXT: dict[str, Callable[[str], Parsed]] = {
    ".md": markdown.read,
    ".markdown": markdown.read,
    ".html": html.read,
    ".htm": html.read,
    ".xhtml": html.read,
    ".csv": plain.read_table,
    ".tsv": plain.read_table,
    ".txt": plain.read,
    ".text": plain.read,
    ".log": plain.read,
    ".rst": plain.read,
    "": plain.read,
}
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = b"PK\x03\x04"
_HTML = re.compile(r"\s*(<\?xml[^>]*>\s*)?(<!doctype\s+html|<html[\s>])", re.IGNORECASE)


def parse(name: str, raw: bytes) -> Parsed:
    """Parse a document; `name` serves for its extension only. ParseError when it cannot be read or says nothing."""
    suffix = PurePath(name).suffix.lower()
    if not raw.strip():
        raise ParseError("the file is empty")
    if suffix == ".pdf" or raw.startswith(b"%PDF-"):
        return pdf.read(raw)
    if suffix == ".docx" or (raw.startswith(_ZIP) and suffix in _TEXT):
        return docx.read(raw)
    if raw.startswith(_OLE):
        raise ParseError("an Office file that is encrypted or older than 2007")
    if raw.startswith(_ZIP):
        raise _unsupported(suffix)
    return _reader(suffix, decoded := decode(raw))(decoded)


def _reader(suffix: str, text: str) -> Callable[[str], Parsed]:
    if suffix in _TEXT:
        return html.read if suffix == "" and _HTML.match(text) else _TEXT[suffix]
    if _HTML.match(text):
        return html.read
    raise _unsupported(suffix)


def _unsupported(suffix: str) -> ParseError:
    return ParseError(f"files of type {suffix!r} are not supported")
