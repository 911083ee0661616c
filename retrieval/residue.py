"""The byte scan: whether what was deleted can still be read in the files that once held it."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 1 << 20
_NOTHING = bytes(_BLOCK)


@dataclass(frozen=True, slots=True)
class Residue:
    """`scanned` bytes were read, and `found` of the needles stand in them; `scanned` is None where nobody can look."""

    scanned: int | None
    found: int


def scan(paths: Iterable[Path], needles: Sequence[bytes]) -> Residue:
    """Look for each needle in each file, over block borders too; OSError when a file cannot be read.

    A store may pack what it holds: a needle is found for certain only while it is short and not a repetition.
    """
    if not all(needles):
        raise ValueError("a needle is empty: it would be found everywhere")
    missing, scanned = set(needles), 0
    overlap = max(map(len, needles), default=1) - 1
    for path in paths:
        scanned += path.stat().st_size
        for window in _windows(path, overlap):
            missing -= {needle for needle in missing if needle in window}
    return Residue(scanned, len(set(needles)) - len(missing))


def scan_apart(paths: Iterable[Path], needles: Sequence[bytes]) -> Residue:
    """The same in a process of its own, for files that SQLite has open here; OSError when it cannot be done.

    Whoever closes a file loses all locks that its process has on it. Without SQLite's, another process takes itself
    for the last one, removes the log, and what is written here from then on is lost.
    """
    asked = json.dumps({"paths": [str(path) for path in paths], "needles": [needle.hex() for needle in needles]})
    command = [sys.executable, "-I", str(Path(__file__))]
    child = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
    if child.returncode:
        raise OSError(child.returncode, child.stderr.strip().rpartition("\n")[2] or "the scan ended early")
    return Residue(**json.loads(child.stdout))


def _windows(path: Path, overlap: int) -> Iterator[bytes]:
    """The file in blocks, each after the end of the one before it. Preallocated files are mostly zeros: left out."""
    tail = b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            if block != _NOTHING:
                yield tail + block
            tail = block[len(block) - overlap :] if overlap else b""


def _answer() -> None:
    """One scan, asked for on standard input: words of documents have no place in a list of processes."""
    asked = json.loads(sys.stdin.read())
    found = scan(map(Path, asked["paths"]), [bytes.fromhex(needle) for needle in asked["needles"]])
    sys.stdout.write(json.dumps({"scanned": found.scanned, "found": found.found}))


if __name__ == "__main__":
    _answer()
