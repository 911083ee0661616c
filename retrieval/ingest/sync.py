"""Brings a library up to date with a source: takes away first, then gives.

Documents that are gone or another tenant's are deleted and access is narrowed before any file is read, so that no file
which cannot be read keeps what its rules take away. What rules give comes together with the content it is given for.
A run that dies anywhere is finished by running it again.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, TypeAlias

from retrieval.acl import Access
from retrieval.catalog import Document
from retrieval.documents import Outcome
from retrieval.errors import AccessMissing, DocumentMissing, SourceError
from retrieval.ingest.sources.document import Source, SourceDocument, Unusable
from retrieval.newdocument import NewDocument, given_digest

_Key: TypeAlias = tuple[str, str]
_AT_ONCE = 64
_TROUBLED, _DEPARTED = ("refused", "failed"), ("moved", "gone")


class Library(Protocol):
    """Where documents go: the catalog and its indexes in this process, or a gateway over HTTP."""

    async def known(self, origin: str) -> list[Document]:
        """All documents that came from one source."""
        ...

    async def put(self, new: Sequence[NewDocument]) -> list[Outcome]:
        """Take documents in; an outcome for each, in order."""
        ...

    async def grant(self, tenant: str, document: str, access: Access) -> object:
        """Change who may read a document; DocumentMissing. An empty list of readers is one."""
        ...

    async def delete(self, tenant: str, document: str) -> object:
        """Delete a document; DocumentMissing."""
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """What became of every document, in the order of the source, those that it has no more first."""

    origin: str
    outcomes: tuple[Outcome, ...]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many of each status."""
        return dict(Counter(one.status for one in self.outcomes))

    @property
    def chunks(self) -> int:
        """How many chunks were written."""
        return sum(one.chunks for one in self.outcomes)

    @property
    def troubled(self) -> list[Outcome]:
        """Documents that did not get in."""
        return [one for one in self.outcomes if one.status in _TROUBLED]

    @property
    def departed(self) -> list[Outcome]:
        """Documents that this run deleted, because they left the source or the tenant."""
        return [one for one in self.outcomes if one.status in _DEPARTED]


@dataclass(frozen=True, slots=True)
class Batch:
    """How much is handed to the library at once; one document may be larger than `size` bytes."""

    count: int = 64
    size: int = 16 * 1024 * 1024


_BATCH = Batch()


async def synchronise(
    source: Source, library: Library, progress: Callable[[int, int, str], None], batch: Batch = _BATCH
) -> Report:
    """Bring the library up to date; SourceError, before anything is changed, when the source cannot be seen whole.

    `progress` hears (documents done, of how many, what now).
    """
    found = await asyncio.to_thread(lambda: list(source.documents()))
    documents = [one for one in found if isinstance(one, SourceDocument)]
    known = {(one.access.tenant, one.id): one for one in await library.known(source.origin)}
    run = _Run(library, known, progress, batch, len(documents))
    unusable = [Outcome("", one.place, "refused", reason=one.reason) for one in found if isinstance(one, Unusable)]
    departed = await run.dismiss(documents)
    await run.narrow(documents)
    return Report(source.origin, (*departed, *unusable, *await run.take(documents)))


@dataclass(slots=True)
class _Run:
    """One run; `known` is what the library held before it, `_access` who may read that by now."""

    library: Library
    known: dict[_Key, Document]
    progress: Callable[[int, int, str], None]
    batch: Batch
    total: int
    _access: dict[_Key, Access] = field(init=False)
    _waiting: dict[int, NewDocument] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._access = {key: one.access for key, one in self.known.items()}

    async def dismiss(self, documents: Iterable[SourceDocument]) -> list[Outcome]:
        """Delete what the source has no more, or has for another tenant; what has no tenant now, nobody reads."""
        tenants: dict[str, set[str]] = {}
        for one in documents:
            tenants.setdefault(one.id, set()).add(one.rule.tenant or "")
        departed = []
        for tenant, document in sorted(self.known):
            now = tenants.get(document, set())
            if tenant in now:
                continue
            if "" in now:
                await self._narrow((tenant, document), Access(tenant, frozenset()))
                continue
            self.progress(0, self.total, document)
            if await self._delete((tenant, document)):
                departed.append(_departure(document, tenant, now))
        return departed

    async def narrow(self, documents: Iterable[SourceDocument]) -> None:
        """Take from readers what is not theirs any more, before anything else of the documents is looked at."""
        for one in documents:
            await self._narrow(_key(one), _granted(one))

    async def take(self, documents: Sequence[SourceDocument]) -> list[Outcome]:
        """Hand over what changed; the outcome of each document, in order."""
        counts = Counter(map(_key, documents))
        outcomes: dict[int, Outcome] = {}
        for start in range(0, len(documents), _AT_ONCE):
            some = documents[start : start + _AT_ONCE]
            self.progress(start, self.total, some[0].id)
            for place, look in enumerate(await asyncio.to_thread(self._look_at, some, counts), start):
                outcomes |= await self._settle(place, look, documents[place])
        outcomes |= await self._flush()
        self.progress(self.total, self.total, "done")
        return [outcomes[place] for place in range(len(documents))]

    def _look_at(self, some: Iterable[SourceDocument], counts: Mapping[_Key, int]) -> list[Outcome | NewDocument]:
        """Blocking: each against what the library knows, the changed ones without their bytes."""
        return [self._look(one, counts[_key(one)]) for one in some]

    def _look(self, document: SourceDocument, count: int) -> Outcome | NewDocument:
        if count > 1:
            return _failed(
                document, "refused", f"{document.id!r} is there {count} times: which one counts is not known"
            )
        try:
            described = document.described()
        except SourceError as error:
            return _failed(document, "refused", str(error))
        try:
            version = document.content.version()
        except SourceError as error:
            return _failed(document, "failed", str(error))
        known = self.known.get(_key(document))
        if known is None or (known.version, known.given) != (version, given_digest(described)):
            return described
        return Outcome(known.access.tenant, known.id, "unchanged", version=version, sequence=known.sequence)

    async def _settle(self, place: int, look: Outcome | NewDocument, document: SourceDocument) -> dict[int, Outcome]:
        if isinstance(look, NewDocument):
            return await self._hand_over(place, look, document)
        return {place: await self._regrant(look, document.access()) if look.status == "unchanged" else look}

    async def _hand_over(self, place: int, described: NewDocument, document: SourceDocument) -> dict[int, Outcome]:
        """Put a changed document to those that wait; the outcomes of these, if it was too many."""
        try:
            raw = await asyncio.to_thread(document.content.read)
        except SourceError as error:
            return {place: _failed(document, "failed", str(error))}
        size = sum(len(one.raw) for one in self._waiting.values())
        is_full = len(self._waiting) >= self.batch.count or size + len(raw) > self.batch.size
        outcomes = await self._flush() if is_full else {}
        self._waiting[place] = replace(described, raw=raw)
        return outcomes

    async def _flush(self) -> dict[int, Outcome]:
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return {}
        return dict(zip(waiting, await self.library.put(list(waiting.values())), strict=True))

    async def _regrant(self, outcome: Outcome, wanted: Access) -> Outcome:
        """Content is as it was; access may not be."""
        key = outcome.tenant, outcome.document
        if not await self._grant(key, wanted):
            told = f"{outcome.document!r} was deleted while this ran: run it again"
            return replace(outcome, status="refused", reason=told)
        return outcome if self.known[key].access == wanted else replace(outcome, status="access")

    async def _narrow(self, key: _Key, wanted: Access) -> None:
        """Take from a document's readers those whom `wanted` does not permit, and give to nobody."""
        if (has := self._access.get(key)) is None:
            return
        if not await self._grant(key, Access(has.tenant, has.allow & wanted.allow, has.deny | wanted.deny)):
            del self.known[key], self._access[key]

    async def _grant(self, key: _Key, access: Access) -> bool:
        """Whether the document is still there."""
        if self._access[key] == access:
            return True
        try:
            await self.library.grant(*key, access)
        except DocumentMissing:
            return False
        self._access[key] = access
        return True

    async def _delete(self, key: _Key) -> bool:
        """Whether there was anything left to delete."""
        try:
            await self.library.delete(*key)
        except DocumentMissing:
            return False
        return True


def _key(document: SourceDocument) -> _Key:
    return document.rule.tenant or "", document.id


def _granted(document: SourceDocument) -> Access:
    """Nobody, where it is not said in full."""
    try:
        return document.access()
    except AccessMissing:
        return Access(document.rule.tenant or "", frozenset())


def _failed(document: SourceDocument, status: Literal["refused", "failed"], reason: str) -> Outcome:
    return Outcome(document.rule.tenant or "", document.id, status, reason=reason)


def _departure(document: str, tenant: str, now: Iterable[str]) -> Outcome:
    if others := sorted(now):
        told = f"{document!r} moved to tenant {others[0]!r}: it was deleted in tenant {tenant!r}"
        return Outcome(tenant, document, "moved", reason=told)
    told = f"{document!r} is not in the source any more: it was deleted in tenant {tenant!r}, until it is put back"
    return Outcome(tenant, document, "gone", reason=told)
