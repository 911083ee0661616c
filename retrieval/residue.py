"""The byte scan: whether what was deleted can still be read in the files that once held it."""

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


def _windows(path: Path, overlap: int) -> Iterator[bytes]:
    """The file in blocks, each after the end of the one before it. Preallocated files are mostly zeros: left out."""
    tail = b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            if block != _NOTHING:
                yield tail + block
            tail = block[len(block) - overlap :] if overlap else b""
