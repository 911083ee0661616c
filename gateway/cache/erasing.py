"""The cache's part in erasures: answers of the tenant go, all of them, as any may repeat what another one said."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from gateway.cache.store import ANY, CacheUnavailable, Store
from retrieval.erasure import Subject
from retrieval.errors import StoreError
from retrieval.receipt import Erased


@dataclass(frozen=True, slots=True)
class CacheErasure:
    """`until` is when the last answer that was made before would be gone by itself, in other gateways' memory too."""

    store: Store
    until: Callable[[], datetime]

    async def erase(self, subject: Subject) -> Erased:
        """Let go of the tenant's answers, and look whether any is left.

        Answers of others are none of this: what is in them was said by documents of their own.
        """
        needles = [word.encode() for word in subject.words]
        await self.forget(subject.tenant)
        residue = await self.store.residue(subject.tenant, needles)
        sought = 0 if residue.scanned is None else len(needles)
        done = "all kept answers of the tenant dropped"
        return Erased("answer cache", done, residue.scanned, residue.found, self.until(), sought)

    async def forget(self, tenant: str) -> None:
        """Let go of a tenant's answers. StoreError when some cannot be reached."""
        try:
            await self.store.purge(tenant, [ANY])
        except CacheUnavailable as error:
            raise StoreError(f"kept answers cannot be let go of: {error}") from error
