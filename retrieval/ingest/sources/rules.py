"""The rules that say who may see a document and what it is, the same for every kind of source."""

import os
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import msgspec
import yaml
from pathspec import PathSpec

from retrieval.errors import DocumentRefused, SourceError
from retrieval.newdocument import require_openable

RULES_FILE = "twinpin.yaml"
ID = "{id}"


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Applies to every path that `match` (a gitignore-style pattern) fits; later rules override field by field."""

    match: str
    tenant: str | None = None
    allow: list[str] | None = None
    deny: list[str] | None = None
    category: str | None = None
    title: str | None = None
    updated: date | None = None
    expires: date | None = None
    supersedes: str | None = None
    source: str | None = None


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of `twinpin.yaml`; `tenant` and `source` are defaults.

    `origin` is the name of the source, wherever it lies; `prefix` goes before every id, as a folder would.
    """

    rules: list[Rule]
    tenant: str | None = None
    source: str | None = None
    origin: str | None = None
    prefix: str | None = None


class RuleBook:
    """Rules that have been checked, ready to be asked; `file` is where they stand, for whoever has to mend them."""

    def __init__(self, rules: Rules, file: str = RULES_FILE) -> None:
        self.rules, self.file = rules, file
        self._patterns = [_pattern(rule.match, file) for rule in rules.rules]
        self._prefix = _prefix(rules.prefix, file)
        self.origin = _origin(rules.origin, file)
        for source in (rules.source, *(rule.source for rule in rules.rules)):
            require_source(source, file)

    def id(self, name: str) -> str:
        """The id of the document that its source calls `name`."""
        return self._prefix + printable(name)

    def rule(self, name: str) -> Rule:
        """All that the rules say of `name`, in one."""
        said: dict[str, Any] = {"match": name, "tenant": self.rules.tenant, "source": self.rules.source}
        for rule, pattern in zip(self.rules.rules, self._patterns, strict=True):
            if pattern.match_file(name):
                said |= {field: value for field, value in _set(rule).items() if field != "match"}
        return Rule(**said)


def read_rules(text: str | bytes, place: str) -> Rules:
    """The content of a rules file; SourceError names `place`."""
    try:
        return msgspec.convert(yaml.safe_load(text), Rules)
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise SourceError(f"{RULES_FILE} in {place!r} is not valid: {error}") from error


def require_no_rules_below(names: Iterable[str]) -> None:
    """Rules further down would silently have no effect, and they might be the ones that deny."""
    for name in names:
        if name.endswith(f"/{RULES_FILE}"):
            raise SourceError(
                f"{printable(name)!r} would have no effect: only the {RULES_FILE} of the folder that is ingested "
                "counts; move its rules there, or ingest that folder by itself"
            )


def require_source(source: str | None, file: str) -> None:
    """A citation's address, in which {id} may stand."""
    if source is None:
        return
    told = f"{file} has the source {source!r}"
    sample = source.replace(ID, "id")
    if not sample or "{" in sample or "}" in sample:
        raise SourceError(f"{told}: write a URL, with {ID} where the document's id goes")
    try:
        require_openable(sample)
    except DocumentRefused as error:
        raise SourceError(f"{told}: it has to be a URL that begins with https:// or http://, or a path") from error


def is_plain(text: str) -> bool:
    """Printable, composed, and without white space around it."""
    return text == text.strip() and text.isprintable() and unicodedata.is_normalized("NFC", text)


def printable(name: str) -> str:
    """A name whose bytes are not UTF-8 is written with escapes: it goes to databases and terminals."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _prefix(prefix: str | None, file: str) -> str:
    """As a folder: with one slash at its end."""
    if prefix is None:
        return ""
    parts = prefix.removesuffix("/").split("/")
    if not is_plain(prefix) or any(part.strip() in ("", ".", "..") for part in parts):
        raise SourceError(f"{file} has the prefix {prefix!r}: write it like a folder, 'hr' or 'sites/leeds'")
    return "/".join(parts) + "/"


def _origin(named: str | None, file: str) -> str | None:
    if named is not None and (not named or not is_plain(named)):
        raise SourceError(f"{file} has the origin {named!r}: write a plain name")
    return named


def _pattern(match: str, file: str) -> PathSpec[Any]:
    """Refuses a pattern that can match nothing: a rule that silently never applies might be the one that denies."""
    try:
        spec = PathSpec.from_lines("gitignore", [match])
    except ValueError as error:
        raise SourceError(f"{file} has the pattern {match!r}, which is not valid") from error
    if [pattern.include for pattern in spec.patterns] != [True]:
        raise SourceError(f"{file} has the pattern {match!r}: write one that matches something")
    return spec


def _set(rule: Rule) -> Mapping[str, object]:
    return {field: value for field, value in msgspec.structs.asdict(rule).items() if value is not None}
