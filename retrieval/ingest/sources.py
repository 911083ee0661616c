"""Where documents come from: a folder whose `twinpin.yaml` says who may see what."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import yaml
from pathspec import PathSpec

from retrieval.acl import Access, invalid_grants
from retrieval.errors import AccessMissing, SourceError

RULES_FILE = "twinpin.yaml"
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


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of `twinpin.yaml`; `tenant` is the default."""

    rules: list[Rule]
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A file and what the rules say of it; its id is its path relative to the folder."""

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
            raise AccessMissing(f"{self.id!r} grants {wrong[0]!r}: write 'user:<subject>' or 'group:<name>'")
        return Access(self.rule.tenant, frozenset(self.rule.allow), frozenset(denied))

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
    """All files below a folder, in path order; hidden files, links and the rules file are not documents."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._rules = _load(root)
        self._patterns = [_pattern(rule) for rule in self._rules.rules]

    def documents(self) -> list[SourceDocument]:
        """What is there now."""
        files = sorted(path for path in self._files() if path.name != RULES_FILE)
        return [self._document(path) for path in files]

    def _files(self) -> Iterator[Path]:
        for path in self._root.rglob("*"):
            hidden = any(part.startswith(".") for part in path.relative_to(self._root).parts)
            if path.is_file() and not path.is_symlink() and not hidden:
                yield path

    def _document(self, path: Path) -> SourceDocument:
        name = path.relative_to(self._root).as_posix()
        fields: dict[str, object] = {"match": name, "tenant": self._rules.tenant}
        for rule, pattern in zip(self._rules.rules, self._patterns, strict=True):
            if pattern.match_file(name):
                fields |= {field: value for field, value in _set(rule).items() if field != "match"}
        return SourceDocument(_printable(name), path, Rule(**fields))  # type: ignore[arg-type]


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
