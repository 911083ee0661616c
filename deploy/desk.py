"""What an operator does with documents, whether they are on this machine or behind a gateway."""

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from retrieval.newdocument import NewDocument

Shown: TypeAlias = dict[str, Any]
"""As the API shows it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which documents to list: of one tenant or of all that may be seen, `limit` at most."""

    tenant: str | None
    origin: str | None
    category: str | None
    limit: int


class UnclearTenant(Exception):
    """Several tenants have such a document, or none was named for a new one; the text says what to add."""


class Desk(Protocol):
    """A tenant may be left out where it is plain which is meant.

    Errors: RetrievalError or UnclearTenant on this machine, GatewayRefused through a gateway.
    """

    async def listed(self, wanted: Wanted) -> list[Shown]:
        """Documents in order of tenant and id."""
        ...

    async def shown(self, tenant: str | None, document: str) -> Shown:
        """A document with its text."""
        ...

    async def history(self, tenant: str | None, document: str) -> list[Shown]:
        """The versions that are kept, newest first."""
        ...

    async def put(self, tenant: str | None, new: NewDocument) -> Shown:
        """Take a document in; the tenant in its access does not count."""
        ...

    async def delete(self, tenant: str | None, document: str) -> Shown:
        """Delete a document."""
        ...

    async def grant(self, tenant: str | None, document: str, allow: list[str], deny: list[str]) -> Shown:
        """Change who may read it."""
        ...

    async def revert(self, tenant: str | None, document: str, to: str | None) -> Shown:
        """Bring earlier content back."""
        ...

    async def revert_ingestion(self, tenant: str | None, ingestion: str) -> Shown:
        """Undo what an ingestion did to contents."""
        ...

    async def erase(self, tenant: str | None, document: str) -> Shown:
        """Erase a document everywhere; the signed receipt."""
        ...
