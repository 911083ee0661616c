"""What holds answers is to the rest: bytes by name, which it lets go of in time, and whenever a document changes."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Protocol

from retrieval.residue import Residue

ANY: Final = ""
"""In place of a document: every answer of a tenant is held for it too."""


class CacheUnavailable(Exception):
    """The store cannot be reached, or gives what nobody put there."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer's bytes. `documents` are those whose words may be in it, and `ANY`; `until` is seconds of the epoch."""

    tenant: str
    name: str
    documents: frozenset[str]
    until: float
    value: bytes


class Store(Protocol):
    """Every implementation keeps the promises of `tests/contracts/test_cache.py`. Errors: CacheUnavailable.

    Nothing is given for longer than it was put for, nothing under another name than it was put under.
    """

    async def get(self, tenant: str, name: str) -> Kept | None:
        """What is held under a name."""
        ...

    async def put(self, kept: Kept) -> None:
        """Hold an answer, in place of one of the same name. It may be let go of at any time."""
        ...

    async def drop(self, tenant: str, name: str) -> None:
        """Let go of one answer."""
        ...

    async def purge(self, tenant: str, documents: Collection[str]) -> int:
        """Let go of every answer that may hold words of these documents, or of all for `ANY`; how many there were."""
        ...

    async def residue(self, tenant: str, needles: Collection[bytes]) -> Residue:
        """How many of `needles` can still be read in what is held of a tenant's."""
        ...

    async def close(self) -> None:
        """Finish what is under way, and give up all connections."""
        ...
