"""Turns rows of a query and items of an API into documents, by the fields that the operator names."""

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from retrieval.errors import SourceError
from retrieval.ingest.sources.document import Content, Found, SourceDocument, Unusable
from retrieval.ingest.sources.rules import Rule, RuleBook, Rules, is_plain, require_source
from retrieval.ingest.sources.spool import Nothing, Spool

Row: TypeAlias = Callable[[str], object]
_OF_ACCESS = ("tenant", "allow", "deny")
_NEEDED = {"tenant": "tenant", "allow": "allow list"}


class Fields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which field of a row gives what: `text`, or `content` (bytes; in JSON base64) with a file `name`."""

    id: str
    text: str | None = None
    content: str | None = None
    name: str | None = None
    tenant: str | None = None
    allow: str | None = None
    deny: str | None = None
    title: str | None = None
    category: str | None = None
    updated: str | None = None
    expires: str | None = None
    supersedes: str | None = None
    source: str | None = None

    def named(self) -> list[str]:
        """The fields of a row that are asked for."""
        return [name for name in msgspec.structs.astuple(self) if name is not None]


class RowsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every source of rows needs; `grants` goes before each entry of the access fields, which are then bare names.

    `format` is the file extension of `text`.
    """

    origin: str
    fields: Fields
    rules: list[Rule] = msgspec.field(default_factory=list)
    tenant: str | None = None
    source: str | None = None
    prefix: str | None = None
    format: Literal["txt", "md", "html"] = "txt"
    grants: Literal["group", "user"] | None = None


@dataclass(slots=True)
class Mapper:
    """One reading of a source; `file` is where its configuration stands."""

    config: RowsConfig
    file: str
    book: RuleBook = field(init=False)
    _spool: Spool = field(default_factory=Spool)

    def __post_init__(self) -> None:
        _require_whole(self.config, self.file)
        said = self.config
        self.book = RuleBook(Rules(list(said.rules), said.tenant, said.source, said.origin, said.prefix), self.file)

    def documents(self, rows: Iterable[Row]) -> Iterator[Found]:
        """A document for each row; SourceError when no row of any has an id, as everything would look gone."""
        seen = usable = 0
        for seen, row in enumerate(rows, 1):
            found = self._document(row, f"row {seen}")
            usable += isinstance(found, SourceDocument)
            yield found
        if seen and not usable:
            raise SourceError(f"none of {seen} rows has an id in {self.config.fields.id!r}: mend {self.file}")

    def _document(self, row: Row, place: str) -> Found:
        name = _identity(row(self.config.fields.id))
        if name is None:
            return Unusable(place, f"{place} has no usable id in {self.config.fields.id!r}")
        identity = self.book.id(name)
        rule, flaw = self._rule(row, name, identity)
        file, content = self._content(row, name, identity)
        return SourceDocument(identity, file, self.config.origin, rule, content, self.file, flaw)

    def _rule(self, row: Row, name: str, identity: str) -> tuple[Rule, str | None]:
        """Rules, and over them what the row says; a field of access that cannot be read leaves access open."""
        said: dict[str, object] = {}
        flaw = None
        for part, read in _READERS.items():
            column = getattr(self.config.fields, part)
            if column is None:
                continue
            try:
                said[part] = read(row(column), self.config.grants)
            except (ValueError, TypeError, SourceError) as error:
                flaw = f"{identity!r} has {part} in {column!r}, which cannot be used: {error}"
                said |= {"allow": []} if part in _OF_ACCESS else {}
                continue
            if part in _NEEDED and not said[part]:
                flaw = flaw or f"{identity!r} has no {_NEEDED[part]}: {column!r} of its row is empty"
        if isinstance(older := said.get("supersedes"), str):
            said["supersedes"] = self.book.id(older)
        return _over(self.book.rule(name), said), flaw

    def _content(self, row: Row, name: str, identity: str) -> tuple[str, Content]:
        fields = self.config.fields
        column = fields.text or fields.content or ""
        file = f"{name.rpartition('/')[2]}.{self.config.format}"
        try:
            if fields.name is not None:
                file = _text(row(fields.name), None) or ""
                if not file or not is_plain(file):
                    raise SourceError(f"no file name in {fields.name!r}")  # noqa: TRY301 - told with the row's id below
            raw = _bytes(row(column), decode=fields.content is not None)
        except (ValueError, TypeError, SourceError) as error:
            return file, Nothing(f"{identity!r} has no usable content in {column!r}: {error}")
        return file, self._spool.add(identity, raw)


def _require_whole(config: RowsConfig, file: str) -> None:
    """Access comes from one place: a rule that a row overrides, or the reverse, would silently not apply."""
    fields = config.fields
    if (fields.text is None) == (fields.content is None) or (fields.content is None) != (fields.name is None):
        raise SourceError(f"{file} has to name the field of the `text`, or those of `content` and file `name`")
    for part in ("tenant", "allow"):
        in_rules = [rule for rule in config.rules if getattr(rule, part) is not None]
        if getattr(fields, part) and (in_rules or (part == "tenant" and config.tenant)):
            raise SourceError(f"{file} gives {part} by a field and by a rule: write one of the two")


def _over(rule: Rule, said: Mapping[str, object]) -> Rule:
    """What the row says goes before the rules, and denials of both count."""
    stated = {part: value for part, value in said.items() if value is not None}
    denied = stated.get("deny")
    if isinstance(denied, list):
        stated["deny"] = [*(rule.deny or []), *denied]
    return msgspec.structs.replace(rule, **stated)


def _identity(value: object) -> str | None:
    text = str(value) if isinstance(value, int | UUID) and not isinstance(value, bool) else value
    return text if isinstance(text, str) and text and is_plain(text) else None


def _text(value: object, _grants: str | None) -> str | None:
    if isinstance(value, str | None):
        return value or None
    if isinstance(value, int | UUID) and not isinstance(value, bool):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no text")


def _link(value: object, grants: str | None) -> str | None:
    text = _text(value, grants)
    require_source(text, "the row")
    return text


def _day(value: object, _grants: str | None) -> date | None:
    if isinstance(value, str):
        return _day(datetime.fromisoformat(value), None) if value else None
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).date()
    if isinstance(value, date | None):
        return value
    raise TypeError(f"{type(value).__name__} is no date")


def _list(value: object, grants: str | None) -> list[str] | None:
    """A list, a JSON array, or names between commas."""
    if value is None:
        return None
    if isinstance(value, str):
        listed = msgspec.json.decode(value) if value.lstrip().startswith("[") else value.split(",")
        value = [one.strip() if isinstance(one, str) else one for one in listed if one != ""]
    if not isinstance(value, Sequence | set | frozenset) or isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} is no list")
    names = [one for one in value if isinstance(one, str)]
    if len(names) != len(value):
        raise TypeError("an entry is no text")
    return [f"{grants}:{name}" for name in names] if grants else names


def _bytes(value: object, *, decode: bool) -> bytes:
    if isinstance(value, str):
        if not decode:
            return value.encode()
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise SourceError("it is not base64") from error
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise TypeError("it is empty" if value is None else f"{type(value).__name__} is no text")


_READERS: Mapping[str, Callable[[object, str | None], object]] = {
    "tenant": _text,
    "allow": _list,
    "deny": _list,
    "title": _text,
    "category": _text,
    "updated": _day,
    "expires": _day,
    "supersedes": _text,
    "source": _link,
}
