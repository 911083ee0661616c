"""From a file's bytes to its text and blocks: tells formats apart by content, then by name; reads nothing else."""

import re
from collections.abc import Callable
from pathlib import PurePath

from retrieval.ingest.blocks import PARSER, Block, BlockKind, Parsed, ParseError
from retrieval.ingest.formats import docx, epub, html, markdown, notebook, pdf, plain, pptx, xlsx
from retrieval.ingest.formats.archive import names_in
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
    ".ipynb": notebook.read,
    "": plain.read,
}
_PACKAGES: dict[str, Callable[[bytes], Parsed]] = {
    ".docx": docx.read,
    ".pptx": pptx.read,
    ".xlsx": xlsx.read,
    ".epub": epub.read,
}
_MARKS = {"word/": ".docx", "ppt/": ".pptx", "xl/": ".xlsx", "META-INF/container.xml": ".epub"}
_DATA = "data rather than a text: save what people should read of it as CSV, HTML or Markdown"
_INSTEAD = {
    **dict.fromkeys((".json", ".jsonl", ".xml", ".yaml", ".yml"), _DATA),
    **dict.fromkeys((".zip", ".tar", ".gz", ".7z", ".rar"), "ingest the documents in it one by one"),
    **dict.fromkeys(
        (".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".webp"), "a picture, whose text would need OCR"
    ),
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
    if raw.startswith(_OLE):
        raise ParseError(_old(suffix))
    if raw.startswith(_ZIP) or (suffix in _PACKAGES and raw.startswith(b"PK")):
        return _package(suffix, raw)
    if suffix in _PACKAGES:
        raise ParseError(f"no {suffix[1:].upper()} file: its content is something else")
    return _reader(suffix, decoded := decode(raw))(decoded)


def _package(suffix: str, raw: bytes) -> Parsed:
    """An archive by what it holds, if its name promises a document at all."""
    if suffix not in _TEXT and suffix not in _PACKAGES:
        raise _unsupported(suffix)
    names = names_in(raw)
    kinds = {kind for mark, kind in _MARKS.items() if any(name.startswith(mark) for name in names)}
    kind = kinds.pop() if len(kinds) == 1 else suffix
    if kind not in _PACKAGES:
        raise ParseError(f"a zip archive: {_INSTEAD['.zip']}")
    return _PACKAGES[kind](raw)


def _old(suffix: str) -> str:
    if suffix == ".msg":
        return "an Outlook message: save it as HTML or text"
    return "an Office file that is encrypted or older than 2007: save it as DOCX, PPTX or XLSX without a password"


def _reader(suffix: str, text: str) -> Callable[[str], Parsed]:
    if suffix in _TEXT:
        return html.read if suffix == "" and _HTML.match(text) else _TEXT[suffix]
    if _HTML.match(text):
        return html.read
    raise _unsupported(suffix)


def _unsupported(suffix: str) -> ParseError:
    instead = _INSTEAD.get(suffix, "save it as PDF, DOCX, HTML, Markdown or plain text")
    return ParseError(f"files of type {suffix!r} are not supported: {instead}")
