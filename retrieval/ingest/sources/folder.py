"""A folder whose `twinpin.yaml` says who may see what."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import NoReturn

from retrieval.errors import SourceError
from retrieval.ingest.sources.document import LARGEST, SourceDocument, too_large
from retrieval.ingest.sources.rules import RULES_FILE, RuleBook, printable, read_rules, require_no_rules_below


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file; the last part of its path may have become a link since it was listed, which is not followed."""

    document: str
    path: Path

    def version(self) -> str:
        """As Content's."""
        try:
            with self._opened() as file:
                return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        except OSError as error:
            raise self._unreadable(error) from error

    def read(self) -> bytes:
        """As Content's."""
        try:
            with self._opened() as file:
                raw = file.read(LARGEST + 1)
        except OSError as error:
            raise self._unreadable(error) from error
        if len(raw) > LARGEST:
            raise too_large(self.document)
        return raw

    def _opened(self) -> BufferedReader:
        file = open(self.path, "rb", opener=_unlinked)  # noqa: SIM115 - the caller closes it
        if os.fstat(file.fileno()).st_size > LARGEST:
            file.close()
            raise too_large(self.document)
        return file

    def _unreadable(self, error: OSError) -> SourceError:
        if isinstance(error, FileNotFoundError):
            return SourceError(f"{self.document!r} vanished before it could be read")
        return SourceError(f"{self.document!r} cannot be read: {error.strerror}")


class FolderSource:
    """All files below a folder, in path order; hidden files, links and the rules file are not documents.

    Without a name in its rules, `origin` is made of the folder's place: a folder that moves is then another one.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._book = RuleBook(read_rules(_rules_text(root), root.name))
        self.origin = self._book.origin or placed_origin(root)

    def documents(self) -> list[SourceDocument]:
        """What is there now; SourceError when a folder below cannot be listed, or has rules of its own."""
        return [self._document(path) for path in sorted(self._files())]

    def _files(self) -> Iterator[Path]:
        """A part of the folder that could not be seen would look as if it were gone."""
        for folder, folders, names in os.walk(self._root, onerror=_unlisted):
            folders[:] = [name for name in folders if not name.startswith(".")]
            place = Path(folder)
            if RULES_FILE in names and place != self._root:
                require_no_rules_below([(place / RULES_FILE).relative_to(self._root).as_posix()])
            paths = [place / name for name in names if name != RULES_FILE and not name.startswith(".")]
            yield from (path for path in paths if path.is_file() and not path.is_symlink())

    def _document(self, path: Path) -> SourceDocument:
        name = path.relative_to(self._root).as_posix()
        identity = self._book.id(name)
        content = FileContent(identity, path)
        return SourceDocument(identity, printable(path.name), self.origin, self._book.rule(name), content)


def placed_origin(place: Path, part: str = "") -> str:
    """A name made of where a source lies: the folder's own, with a digest of its place."""
    resolved = place.resolve()
    digest = hashlib.sha256(os.fsencode(resolved / part)).hexdigest()[:8]
    return printable(f"{resolved.name}-{digest}")


def _rules_text(root: Path) -> bytes:
    if not root.is_dir():
        raise SourceError(f"{root.name!r} is not a folder")
    try:
        return (root / RULES_FILE).read_bytes()
    except FileNotFoundError as error:
        raise SourceError(
            f"{root.name!r} has no {RULES_FILE}: it must say which tenant and groups may see its documents"
        ) from error
    except OSError as error:
        raise SourceError(f"{RULES_FILE} in {root.name!r} cannot be read: {error.strerror}") from error


def _unlinked(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def _unlisted(error: OSError) -> NoReturn:
    raise SourceError(f"a folder in it cannot be listed: {error.strerror}") from error
