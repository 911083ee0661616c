"""The files of one commit of a Git repository; what is not committed is not seen."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath

import msgspec

from retrieval.errors import SourceError
from retrieval.ingest.sources.document import LARGEST, Found, SourceDocument, Unusable, too_large
from retrieval.ingest.sources.folder import placed_origin
from retrieval.ingest.sources.repository import Blob, Entry, Repository
from retrieval.ingest.sources.rules import RULES_FILE, RuleBook, printable, read_rules, require_no_rules_below

_FILES = ("100644", "100755")
_OTHERS = {"120000": "a symbolic link, which is not followed", "160000": "a submodule: ingest it by itself"}
_POINTER = b"version https://git-lfs.github.com/spec/"


class GitConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="git", tag_field="kind"):
    """`folder` is the part of the repository that counts; ids are paths below it."""

    path: str
    ref: str = "HEAD"
    folder: str = ""


@dataclass(frozen=True, slots=True)
class GitContent:
    """A file of a commit, whose version is known already."""

    document: str
    repository: Repository
    entry: Entry
    held: Blob | None

    def version(self) -> str:
        """As Content's."""
        if self.entry.size > LARGEST:
            raise too_large(self.document)
        if self.held is None:
            raise SourceError(f"{self.document!r} is not in this clone: fetch it whole, without `--filter`")
        if self.held.head.startswith(_POINTER):
            raise SourceError(f"{self.document!r} is a Git LFS pointer, not its content: ingest a folder that has it")
        return self.held.version

    def read(self) -> bytes:
        """As Content's."""
        self.version()
        return self.repository.blob(self.entry.blob)


class GitSource:
    """All files of one commit below a folder; hidden files, links, submodules and the rules file are not documents.

    Without a name in its rules, `origin` is made of the repository's place. A document whose rules give no date was
    updated when its last commit was made.
    """

    def __init__(self, root: Path, ref: str = "HEAD", folder: str = "") -> None:
        self._repository = Repository.open(root)
        self._folder = _plain_folder(folder)
        self._commit = self._repository.commit(ref)
        self._entries = self._repository.entries(self._commit, self._folder)
        self._book = RuleBook(read_rules(self._rules(), root.name))
        self.origin = self._book.origin or placed_origin(root, self._folder)

    def documents(self) -> Iterable[Found]:
        """What the commit holds; SourceError when git cannot tell, or when a folder below has rules of its own."""
        require_no_rules_below(entry.path for entry in self._entries)
        shown = [entry for entry in self._entries if _is_shown(entry.path)]
        for entry in shown:
            if entry.mode not in _FILES:
                what = _OTHERS.get(entry.mode, "no plain file")
                yield Unusable(self._book.id(entry.path), f"{self._book.id(entry.path)!r} is {what}")
        files = [entry for entry in shown if entry.mode in _FILES]
        days = self._days({entry.path for entry in files})
        for entry, held in zip(files, self._held(files), strict=True):
            yield self._document(entry, held, days.get(entry.path))

    def _document(self, entry: Entry, held: Blob | None, day: date | None) -> SourceDocument:
        identity, rule = self._book.id(entry.path), self._book.rule(entry.path)
        if rule.updated is None:
            rule = msgspec.structs.replace(rule, updated=day)
        content = GitContent(identity, self._repository, entry, held)
        name = printable(PurePosixPath(entry.path).name)
        return SourceDocument(identity, name, self.origin, rule, content)

    def _held(self, files: Sequence[Entry]) -> Iterator[Blob | None]:
        """What each file holds; one that is too large is not looked at."""
        digests = self._repository.digests([entry.blob for entry in files if entry.size <= LARGEST])
        for entry in files:
            yield next(digests) if entry.size <= LARGEST else None

    def _days(self, paths: set[str]) -> dict[str, date]:
        """When each was last changed; the history is read no further back than that takes."""
        days: dict[str, date] = {}
        for day, path in self._repository.changed(self._commit, self._folder):
            if path in paths:
                days.setdefault(path, day)
            if len(days) == len(paths):
                break
        return days

    def _rules(self) -> bytes:
        for entry in self._entries:
            if entry.path == RULES_FILE and entry.mode in _FILES:
                return self._repository.blob(entry.blob)
        where = f"the folder {self._folder!r}" if self._folder else "its root"
        raise SourceError(
            f"{self._repository.root.name!r} has no {RULES_FILE} in {where} at commit {self._commit[:12]}: "
            "it must say which tenant and groups may see its documents"
        )


def _plain_folder(folder: str) -> str:
    """Without the slash at its end; never a way out of the repository."""
    parts = folder.rstrip("/").split("/")
    if folder and any(part in ("", ".", "..") for part in parts):
        raise SourceError(f"{folder!r} is no folder of a repository: write it like 'docs' or 'docs/handbook'")
    return "/".join(parts)


def _is_shown(path: str) -> bool:
    return path != RULES_FILE and not any(part.startswith(".") for part in path.split("/"))
