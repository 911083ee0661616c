"""Reads one commit of a Git repository through the `git` program: no hook, filter or network is used."""

import hashlib
import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO

from retrieval.errors import SourceError

_NOTHING = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_SETTINGS = ("protocol.allow=never", "core.fsmonitor=false", f"core.hooksPath={os.devnull}", "log.showSignature=false")
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_READ, _HEAD = 1 << 20, 64


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a commit's tree; `path` is relative to the folder that was listed."""

    mode: str
    blob: str
    size: int
    path: str


@dataclass(frozen=True, slots=True)
class Blob:
    """What a file holds: the version that the catalog gives it, and how it begins."""

    version: str
    head: bytes


@dataclass(frozen=True, slots=True)
class Repository:
    """A checkout or a bare repository on this machine. All errors are SourceError."""

    root: Path
    program: str

    @classmethod
    def open(cls, root: Path) -> "Repository":
        """Find git and require that `root` is the top of a repository."""
        program = shutil.which("git")
        if program is None:
            raise SourceError("there is no git program here: install git to ingest a Git checkout")
        if not root.is_dir():
            raise SourceError(f"{root.name!r} is not a folder")
        repository = cls(root, program)
        below = os.fsdecode(repository._run("rev-parse", "--show-prefix")).strip()
        if below:
            raise SourceError(
                f"{root.name!r} is a part of a checkout: give its root, and `folder: {below}` for the part"
            )
        return repository

    def commit(self, ref: str) -> str:
        """The commit that a branch, tag or abbreviated id names."""
        if not ref or ref.startswith("-"):
            raise SourceError(f"{ref!r} is no name of a commit")
        found = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}", may_fail=True)
        commit = found.decode("ascii", "replace").strip()
        if not _COMMIT.fullmatch(commit):
            raise SourceError(f"{self.root.name!r} has no commit {ref!r}")
        return commit

    def entries(self, commit: str, folder: str) -> list[Entry]:
        """Everything below a folder of a commit, in path order."""
        if self._run("cat-file", "-t", f"{commit}:{folder}", may_fail=True).strip() != b"tree":
            raise SourceError(f"{self.root.name!r} has no folder {folder!r} in commit {commit[:12]}")
        listed = self._run("ls-tree", "-r", "-z", "-l", "--full-tree", f"{commit}:{folder}")
        return sorted((_entry(line) for line in listed.split(b"\0") if line), key=lambda one: one.path)

    def blob(self, blob: str) -> bytes:
        """The bytes of one file."""
        return self._run("cat-file", "blob", blob)

    def digests(self, blobs: Sequence[str]) -> Iterator[Blob | None]:
        """Version and first bytes of each, in one process; None for one that is not there."""
        with self._running("cat-file", "--batch", stdin=subprocess.PIPE) as (asked, answered):
            for blob in blobs:
                asked.write(f"{blob}\n".encode())
                asked.flush()
                yield _digest(answered, blob)

    def changed(self, commit: str, folder: str) -> Iterator[tuple[date, str]]:
        """Each change of each file below a folder: the day of its commit in UTC, and its path; the newest first."""
        asked = ("log", "-z", "--format=/%ct", "--name-only", "--no-renames", "--no-ext-diff", "--no-textconv")
        place = [folder] if folder else []
        with self._running(*asked, "--diff-merges=combined", commit, "--", *place) as (_, answered):
            day, is_first = date.min, False
            for word in filter(None, _words(answered)):
                if word.startswith(b"/"):  # a commit: no path begins like that
                    day, is_first = datetime.fromtimestamp(int(word[1:]), UTC).date(), True
                    continue
                path = os.fsdecode(word.removeprefix(b"\n") if is_first else word)
                is_first = False
                yield day, path.removeprefix(f"{folder}/" if folder else "")

    def _run(self, *arguments: str, may_fail: bool = False) -> bytes:
        done = subprocess.run(  # noqa: S603 - as below
            self._command(arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=self._environment(),
            check=False,
        )
        if done.returncode != 0 and not may_fail:
            raise self._failed(arguments[0], done.stderr)
        return done.stdout

    @contextmanager
    def _running(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """A git that is spoken to and read as it goes; one that is no longer listened to is ended."""
        with subprocess.Popen(  # noqa: S603 - a program found by name, its arguments made here, no shell
            self._command(arguments),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment(),
        ) as process:
            try:
                yield process.stdin or io.BytesIO(), process.stdout or io.BytesIO()
                if process.stdin is not None:
                    process.stdin.close()
                if process.wait() != 0:
                    raise self._failed(arguments[0], b"")
            except BrokenPipeError as error:
                raise self._failed(arguments[0], b"") from error
            finally:
                process.kill()

    def _command(self, arguments: Sequence[str]) -> list[str]:
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        return [self.program, "-C", str(self.root), *settings, "--no-pager", "--literal-pathspecs", *arguments]

    def _environment(self) -> Mapping[str, str]:
        return {**_NOTHING, "PATH": os.path.dirname(self.program)}

    def _failed(self, command: str, told: bytes) -> SourceError:
        lines = told.decode("utf-8", "replace").strip().splitlines()
        why = lines[0].replace(str(self.root.resolve()), self.root.name) if lines else "it broke off"
        return SourceError(f"git {command} on {self.root.name!r}: {why}")


def _entry(line: bytes) -> Entry:
    described, _, path = line.partition(b"\t")
    mode, _, blob, size = described.decode("ascii").split()
    return Entry(mode, blob, int(size) if size != "-" else 0, os.fsdecode(path))


def _digest(stream: IO[bytes], blob: str) -> Blob | None:
    """What `cat-file --batch` says to one name."""
    words = stream.readline().decode("ascii", "replace").split()
    if words == [blob, "missing"]:
        return None
    if words[:2] != [blob, "blob"]:
        raise SourceError("git cat-file broke off")
    left, digest, head = int(words[2]), hashlib.sha256(), b""
    while left:
        piece = stream.read(min(left, _READ))
        if not piece:
            raise SourceError("git cat-file broke off")
        head, left = head or piece[:_HEAD], left - len(piece)
        digest.update(piece)
    stream.read(1)
    return Blob(f"sha256:{digest.hexdigest()}", head)


def _words(stream: IO[bytes]) -> Iterator[bytes]:
    """What stands between zero bytes."""
    rest = b""
    while piece := stream.read(_READ):
        *words, rest = (rest + piece).split(b"\0")
        yield from words
    if rest:
        yield rest
