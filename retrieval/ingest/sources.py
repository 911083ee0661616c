"""Where documents come from: a folder whose `twinpin.yaml` says who may see what."""

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

import msgspec
import yaml
from pathspec import PathSpec

from retrieval.acl import Access, invalid_grants
from retrieval.errors import AccessMissing, SourceError, SupersedesItself

RULES_FILE = "twinpin.yaml"
_ID = "{id}"
_OF_URLS = "%/:?#[]@!$&'()*+,;=~"
LARGEST = 64 * 1024 * 1024


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Applies to every path that `match` (a gitignore-style pattern) fits; later rules override field by field."""

    match: str
    tenant: str | None = None
    allow: list[str] | None = None
    deny: list[str] | None = None
    category: str | None = None
    title: str | None = None
    updated: date | None = None
    supersedes: str | None = None
    source: str | None = None


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of `twinpin.yaml`; `tenant` and `source` are defaults.

    `origin` is the name of the folder, wherever it lies; `prefix` goes before every id, as a folder would.
    """

    rules: list[Rule]
    tenant: str | None = None
    source: str | None = None
    origin: str | None = None
    prefix: str | None = None


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A file and what the rules say of it; its id is its path relative to the folder, behind the folder's prefix."""

    id: str
    path: Path
    rule: Rule

    def access(self) -> Access:
        """Tenant and lists; AccessMissing when the rules leave either open."""
        if not self.rule.tenant or not self.rule.allow:
            missing = "tenant" if not self.rule.tenant else "allow list"
            raise AccessMissing(f"{self.id!r} has no {missing}: add a rule for it to {RULES_FILE}")
        denied = self.rule.deny or []
        if wrong := invalid_grants([*self.rule.allow, *denied]):
            raise AccessMissing(
                f"{self.id!r} grants {wrong[0]!r}: write 'user:<subject>' or 'group:<name>', "
                "without white space around it and in composed characters (NFC)"
            )
        return Access(self.rule.tenant, frozenset(self.rule.allow), frozenset(denied))

    def supersedes(self) -> str | None:
        """The id of the document that this one replaces; SupersedesItself when that is this one."""
        if self.rule.supersedes == self.id:
            raise SupersedesItself(f"{self.id!r} supersedes itself, so nobody would see it: mend {RULES_FILE}")
        return self.rule.supersedes

    def url(self) -> str:
        """Where a reader opens it: the rules' `source` with the id in it, else the id; in either case a URL."""
        return quote((self.rule.source or _ID).replace(_ID, quote(self.id, safe="/")), safe=_OF_URLS)

    def read(self) -> bytes:
        """The file's content; SourceError when it vanished, is unreadable or is larger than 64 MiB."""
        try:
            if self.path.stat().st_size > LARGEST:
                raise SourceError(f"{self.id!r} is larger than {LARGEST >> 20} MiB")
            return self.path.read_bytes()
        except FileNotFoundError as error:
            raise SourceError(f"{self.id!r} vanished before it could be read") from error
        except OSError as error:
            raise SourceError(f"{self.id!r} cannot be read: {error.strerror}") from error


class FolderSource:
    """All files below a folder, in path order; hidden files, links and the rules file are not documents.

    Without a name in its rules, `origin` is made of the folder's place: a folder that moves is then another one.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._rules = _load(root)
        self._patterns = [_pattern(rule) for rule in self._rules.rules]
        self._prefix = _prefix(self._rules.prefix)
        self.origin = _origin(root, self._rules.origin)
        for source in (self._rules.source, *(rule.source for rule in self._rules.rules)):
            _require_openable(source)

    def documents(self) -> list[SourceDocument]:
        """What is there now; SourceError when a folder below cannot be listed, or has rules of its own."""
        return [self._document(path) for path in sorted(self._files())]

    def _files(self) -> Iterator[Path]:
        """A part of the folder that could not be seen would look as if it were gone."""
        for folder, folders, names in os.walk(self._root, onerror=_unlisted):
            folders[:] = [name for name in folders if not name.startswith(".")]
            place = Path(folder)
            if RULES_FILE in names and place != self._root:
                raise SourceError(
                    f"{(place / RULES_FILE).relative_to(self._root).as_posix()!r} would have no effect: only the "
                    f"{RULES_FILE} of the folder that is ingested counts; move its rules there, or ingest that folder "
                    "by itself"
                )
            paths = [place / name for name in names if name != RULES_FILE and not name.startswith(".")]
            yield from (path for path in paths if path.is_file() and not path.is_symlink())

    def _document(self, path: Path) -> SourceDocument:
        name = path.relative_to(self._root).as_posix()
        fields: dict[str, object] = {"match": name, "tenant": self._rules.tenant, "source": self._rules.source}
        for rule, pattern in zip(self._rules.rules, self._patterns, strict=True):
            if pattern.match_file(name):
                fields |= {field: value for field, value in _set(rule).items() if field != "match"}
        return SourceDocument(self._prefix + _printable(name), path, Rule(**fields))  # type: ignore[arg-type]


def _unlisted(error: OSError) -> NoReturn:
    raise SourceError(f"a folder in it cannot be listed: {error.strerror}") from error


def _prefix(prefix: str | None) -> str:
    """As a folder: with one slash at its end."""
    if prefix is None:
        return ""
    parts = prefix.removesuffix("/").split("/")
    if not _is_plain(prefix) or any(part.strip() in ("", ".", "..") for part in parts):
        raise SourceError(f"{RULES_FILE} has the prefix {prefix!r}: write it like a folder, 'hr' or 'sites/leeds'")
    return "/".join(parts) + "/"


def _origin(root: Path, named: str | None) -> str:
    """The name given, else the folder's own with a digest of where it lies."""
    if named is not None:
        if not named or not _is_plain(named):
            raise SourceError(f"{RULES_FILE} has the origin {named!r}: write a plain name")
        return named
    place = root.resolve()
    return _printable(f"{place.name}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:8]}")


def _is_plain(text: str) -> bool:
    return text == text.strip() and text.isprintable() and unicodedata.is_normalized("NFC", text)


def _require_openable(source: str | None) -> None:
    """Citations become links: nothing but a web address, or a path on whatever site shows them, may be one."""
    if source is None:
        return
    told = f"{RULES_FILE} has the source {source!r}"
    sample = source.replace(_ID, "id")
    try:
        address = urlsplit(sample)
    except ValueError as error:
        raise SourceError(f"{told}, which is no URL") from error
    if not sample or not _is_plain(sample) or "{" in sample or "}" in sample:
        raise SourceError(f"{told}: write a URL, with {_ID} where the document's id goes")
    is_web = address.scheme in ("http", "https") and bool(address.hostname)
    if not is_web and (address.scheme or sample.startswith("//")):
        raise SourceError(f"{told}: it has to begin with https:// or http://, or be a path")


def _printable(name: str) -> str:
    """A name whose bytes are not UTF-8 is written with escapes: it goes to databases and terminals."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _pattern(rule: Rule) -> PathSpec[Any]:
    """Refuses a pattern that can match nothing: a rule that silently never applies might be the one that denies."""
    try:
        spec = PathSpec.from_lines("gitignore", [rule.match])
    except ValueError as error:
        raise SourceError(f"{RULES_FILE} has the pattern {rule.match!r}, which is not valid") from error
    if [pattern.include for pattern in spec.patterns] != [True]:
        raise SourceError(f"{RULES_FILE} has the pattern {rule.match!r}: write one that matches something")
    return spec


def _set(rule: Rule) -> Mapping[str, object]:
    return {field: value for field, value in msgspec.structs.asdict(rule).items() if value is not None}


def _load(root: Path) -> Rules:
    if not root.is_dir():
        raise SourceError(f"{root.name!r} is not a folder")
    try:
        return msgspec.convert(yaml.safe_load((root / RULES_FILE).read_text("utf-8")), Rules)
    except FileNotFoundError as error:
        raise SourceError(
            f"{root.name!r} has no {RULES_FILE}: it must say which tenant and groups may see its documents"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise SourceError(f"{RULES_FILE} in {root.name!r} is not valid: {error}") from error
