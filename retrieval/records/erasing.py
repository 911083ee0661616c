"""The records' part in erasing a document: they keep that something was answered, and lose what was said and read."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from retrieval.catalog import Catalog
from retrieval.erasure import Subject
from retrieval.errors import CatalogError, SpoolError
from retrieval.receipt import Erased
from retrieval.records.store import RecordStore
from retrieval.residue import scan

_UNREACHED = "files that `twinpin records export` wrote are not reached"


@dataclass(frozen=True, slots=True)
class RecordErasure:
    """Joins in before the catalog, whose erasure rewrites the database that the records are in."""

    store: RecordStore
    until: Callable[[], datetime]

    async def arrived(self) -> None:
        """All that was recorded by now is in SQL; CatalogError when it cannot get there."""
        await _arrived(self.store)

    async def erase(self, subject: Subject) -> Erased:
        """Move the spool into SQL, take words and sources from there, and look through what is left of the spool."""
        await self.arrived()
        count = await self.store.forgetting.document(subject.tenant, subject.document, subject.words)
        done = f"words and sources of {count} records erased, the spool emptied; {_UNREACHED}"
        needles = [word.encode() for word in subject.words]
        try:
            residue = await asyncio.to_thread(scan, self.store.spool.files(), needles)
        except OSError as error:
            raise CatalogError(f"the record spool cannot be scanned: {error.strerror}") from error
        return Erased("records", done, residue.scanned, residue.found, self.until(), len(needles))


async def erase_person(catalog: Catalog, store: RecordStore, tenant: str, subject: str) -> dict[str, Any]:
    """Take who somebody was and what was said by them from spool and book, and their bytes from the database."""
    await _arrived(store)
    count = await store.forgetting.subject(tenant, subject)
    done = await catalog.scrub()
    return {"object": "records.erased", "tenant": tenant, "records": count, "done": f"{done}; {_UNREACHED}"}


async def _arrived(store: RecordStore) -> None:
    try:
        await store.settle()
    except SpoolError as error:
        raise CatalogError(str(error)) from error
