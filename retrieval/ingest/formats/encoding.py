"""Which characters a text file's bytes stand for."""

import codecs
import re

from resiliparse.parse.encoding import detect_encoding

from retrieval.ingest.blocks import ParseError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_CHARACTER_SETS = ("utf", "iso", "cp", "windows", "shift", "euc", "gb", "big", "koi", "mac")
_AS_ON_THE_WEB = {"iso8859-1": "cp1252", "shift_jis": "cp932", "euc_kr": "cp949", "gb2312": "gb18030", "gbk": "gb18030"}
_BINARY = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))
_SAMPLE = 64 * 1024


def decode(raw: bytes) -> str:
    """By byte-order mark, as UTF-8, as an HTML page declares, else as guessed; ParseError for what is no text."""
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return raw[len(mark) :].decode(encoding, "replace")
    if _is_binary(raw):
        raise ParseError("the content is binary, not text")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode(_declared(raw) or _guessed(raw), "replace")


def _is_binary(raw: bytes) -> bool:
    sample = raw[:_SAMPLE]
    odd = len(sample) - len(sample.translate(None, _BINARY))
    return odd * 50 > len(sample)


def _declared(raw: bytes) -> str | None:
    found = _DECLARED.search(raw[:4096])
    return _codec(found[1].decode("ascii")) if found else None


def _guessed(raw: bytes) -> str:
    codec = _codec(detect_encoding(raw[:_SAMPLE]) or "")
    return "cp1252" if codec is None or codec == "utf-8" else codec


def _codec(label: str) -> str | None:
    """Python's codec for a web label; None for what is no character set, such as base64 or zip, or is not known."""
    try:
        name = codecs.lookup(label).name
    except LookupError:
        return None
    return _AS_ON_THE_WEB.get(name, name) if name.startswith(_CHARACTER_SETS) else None
