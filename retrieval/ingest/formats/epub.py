"""EPUB books: the files of the spine in its order, each through the HTML reader."""

import io
import posixpath
import re
import zipfile
from collections.abc import Iterator
from urllib.parse import unquote

from retrieval.ingest.blocks import BlockWriter, Parsed, ParseError
from retrieval.ingest.formats import html
from retrieval.ingest.formats.archive import check_archive
from retrieval.ingest.formats.encoding import decode
from retrieval.ingest.formats.xmltree import Element, read_xml

_CONTAINER = "META-INF/container.xml"
_PROTECTION = "META-INF/encryption.xml"
_TYPES = ("application/xhtml+xml", "text/html", "application/html+xml")
# HTML has no elements that close themselves: the reader would take what follows for their content.
_SELF_CLOSED = re.compile(r"<([A-Za-z][A-Za-z0-9]*)((?:\s[^<>]*)?)/>")
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr")
)


def read(raw: bytes) -> Parsed:
    """A .epub without copy protection, called by its metadata."""
    names = check_archive(raw, xml=())
    if _CONTAINER not in names:
        raise ParseError("a zip archive that is no EPUB file")
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return _read(archive, names)


def _read(archive: zipfile.ZipFile, names: frozenset[str]) -> Parsed:
    package_name = _package_name(archive)
    if package_name not in names:
        raise ParseError("the EPUB file is malformed")
    package = read_xml(archive.read(package_name))
    protected = _protected(archive) if _PROTECTION in names else frozenset()
    out = BlockWriter()
    for name in _spine(package, posixpath.dirname(package_name)):
        if name in protected:
            raise ParseError("the EPUB is copy-protected: only its owner's reader can open it")
        if name in names:
            out.begin_part()
            html.write(_as_html(decode(archive.read(name))), out)
    return out.finish(title=_title(package))


def _package_name(archive: zipfile.ZipFile) -> str:
    root = next(_named(read_xml(archive.read(_CONTAINER)), "rootfile"), None)
    return "" if root is None else str(root.get("full-path") or "")


def _protected(archive: zipfile.ZipFile) -> frozenset[str]:
    return frozenset(
        posixpath.normpath(unquote(one.get("URI") or ""))
        for one in _named(read_xml(archive.read(_PROTECTION)), "CipherReference")
    )


def _spine(package: Element, folder: str) -> Iterator[str]:
    """Names of the book's pages in reading order, each once."""
    hrefs = {
        one.get("id"): one.get("href") or ""
        for one in _named(package, "item")
        if (one.get("media-type") or "").lower() in _TYPES
    }
    listed = (hrefs.get(one.get("idref")) for one in _named(package, "itemref"))
    paths = (posixpath.normpath(posixpath.join(folder, unquote(href))) for href in listed if href)
    return iter(dict.fromkeys(paths))


def _title(package: Element) -> str | None:
    found = next(_named(package, "title"), None)
    return None if found is None else found.text


def _named(root: Element, name: str) -> Iterator[Element]:
    """Elements by their name, whatever their namespace."""
    yield from root.iterfind(f".//{{*}}{name}")


def _as_html(page: str) -> str:
    return _SELF_CLOSED.sub(
        lambda found: found[0] if found[1].lower() in _VOID else f"<{found[1]}{found[2]}></{found[1]}>", page
    )
