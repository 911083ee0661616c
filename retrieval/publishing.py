"""How content becomes current: embedded under no lock, made durable, named by the catalog, old chunks dropped."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from retrieval.acl import Access
from retrieval.catalog import Catalog, Content, Document, Entry
from retrieval.errors import ChangedMeanwhile, OriginConflict
from retrieval.ingest.prepared import Prepared
from retrieval.live import Key, LiveIndex
from retrieval.outcome import Outcome, Status, refused

_Prepared: TypeAlias = dict[tuple[str, Key], Prepared]


class Indexes(Protocol):
    """The index versions that are open here."""

    def serving(self) -> Sequence[LiveIndex]:
        """Those that take traffic: new content is in them before it is acknowledged."""
        ...

    def retained(self) -> Sequence[LiveIndex]:
        """All of them: a deletion or change of access is in them before it is acknowledged."""
        ...


@dataclass(frozen=True, slots=True)
class Draft:
    """A document on its way in: what the catalog is to hold of it, and what it held when this began."""

    document: Document
    content: Content
    raw: bytes
    known: Document | None

    @property
    def key(self) -> Key:
        """Its tenant and id."""
        return self.document.access.tenant, self.document.id


@dataclass(frozen=True, slots=True)
class Publisher:
    """Makes drafts current in the catalog and in every index version that takes traffic; `quiet` is held meanwhile."""

    catalog: Catalog
    indexes: Indexes
    quiet: asyncio.Lock
    on_change: Callable[[], None]

    async def publish(self, drafts: Sequence[Draft], ingestion: str, accepted: Mapping[str, int]) -> list[Outcome]:
        """Embed for every version that takes traffic, then commit; again, if that is not all it takes by then."""
        prepared: _Prepared = {}
        while drafts:
            await self._prepare(drafts, prepared)
            async with self.quiet, self.catalog.writing({tenant for tenant, _ in map(_key, drafts)}):
                current, outcomes = await self._current(drafts, ingestion, accepted)
                if not await self._lacking(current, prepared):
                    outcomes += await self._commit(current, prepared, ingestion)
                    self.on_change()
                    return outcomes
        return []

    async def _prepare(self, drafts: Sequence[Draft], prepared: _Prepared) -> None:
        for index, lacking in await self._lacking(drafts, prepared):
            for one in await index.prepare([(draft.document, draft.content) for draft in lacking]):
                prepared[index.name, (one.document.access.tenant, one.document.id)] = one

    async def _lacking(self, drafts: Sequence[Draft], prepared: _Prepared) -> list[tuple[LiveIndex, list[Draft]]]:
        """What has still to be embedded: other writers and flips change it as long as nothing is locked."""
        found = []
        for index in self.indexes.serving():
            missing = [one for one in drafts if (index.name, one.key) not in prepared]
            lacking = [one for one in missing if await index.lacks(one.document)]
            if lacking:
                found.append((index, lacking))
        return found

    async def _commit(self, drafts: Sequence[Draft], prepared: _Prepared, ingestion: str) -> list[Outcome]:
        """With nobody else writing: new chunks, then the catalog, then the old chunks."""
        if not drafts:
            return []
        documents = {one.key: one.document for one in drafts}
        serving = self.indexes.serving()
        made = {index.name: [one for key in documents if (one := prepared.get((index.name, key)))] for index in serving}
        for index in serving:
            await index.stage(made[index.name], documents)
        entries = [Entry(one.document, one.content, one.raw) for one in drafts]
        sequences = await self.catalog.put(entries, ingestion=ingestion)
        steps = [(one.key[0], sequence) for one, sequence in zip(drafts, sequences, strict=True)]
        first, heads = dict(reversed(steps)), dict(steps)
        for index in serving:
            await index.settle(made[index.name], list(documents.values()))
            for tenant, head in heads.items():
                await index.mark(tenant, first[tenant] - 1, head)
        await self._take_from_others([one for one in drafts if _narrows(one)], heads)
        chunks = {key: len(one.chunks) for (_, key), one in prepared.items()}
        return [_taken(one, chunks.get(one.key, 0), number) for one, number in zip(drafts, sequences, strict=True)]

    async def _current(
        self, drafts: Sequence[Draft], ingestion: str, accepted: Mapping[str, int]
    ) -> tuple[list[Draft], list[Outcome]]:
        """Hold each draft against what happened to its document since it was handed in."""
        current: list[Draft] = []
        outcomes: list[Outcome] = []
        for draft in drafts:
            held = await self._held_against_now(draft, ingestion, accepted.get(draft.key[0], 0))
            if isinstance(held, Draft):
                current.append(held)
            else:
                outcomes.append(held)
        return current, outcomes

    async def _held_against_now(self, draft: Draft, ingestion: str, since: int) -> Draft | Outcome:
        tenant, document = draft.key
        known, tombstone = await self.catalog.get(tenant, document), await self.catalog.tombstone(tenant, document)
        if tombstone is not None and tombstone.sequence > since:
            told = f"{document!r} was deleted while it was on its way in: put it again if meant so"
            return refused(tenant, document, ChangedMeanwhile(told))
        if known is not None and known.origin != draft.document.origin:
            return refused(tenant, document, conflict(document, known.origin))
        if known is not None and ingestion and await self._put_by_itself(known, since):
            told = f"{document!r} was put or reverted while this waited: put it again if meant so"
            return refused(tenant, document, ChangedMeanwhile(told))
        if known is not None and known.epoch > since:
            access = narrowed(known.access, draft.document.access)
            return replace(draft, document=replace(draft.document, access=access), known=known)
        return replace(draft, known=known)

    async def _put_by_itself(self, known: Document, since: int) -> bool:
        """Whether content that waited its turn is older than what is there; ingestions have theirs one by one."""
        if known.sequence <= since:
            return False
        newest = (await self.catalog.history(known.access.tenant, known.id))[0]
        return newest.document.sequence > since and not newest.ingestion

    async def _take_from_others(self, drafts: Sequence[Draft], heads: Mapping[str, int]) -> None:
        """Versions that take no traffic get new content later, but lose readers now."""
        serving = {index.name for index in self.indexes.serving()}
        others = [index for index in self.indexes.retained() if index.name not in serving]
        for one in drafts:
            try:
                for index in others:
                    await index.take(*one.key)
            finally:  # asked for again it is unchanged: who did not hear of it now answers when it has
                await self.catalog.require(one.key[0], heads[one.key[0]])


def conflict(document: str, origin: str) -> OriginConflict:
    """The refusal of a document that another source brought."""
    return OriginConflict(
        f"{document!r} came from another source, {origin!r}, which alone may change it: give it another id "
        "(a folder can have a `prefix:`), or name the same origin if it is the same source at another place"
    )


def narrowed(known: Access, wanted: Access) -> Access:
    """`wanted`, but nobody who has no access by `known`."""
    return Access(known.tenant, known.allow & wanted.allow, known.deny | wanted.deny)


def _narrows(draft: Draft) -> bool:
    """Whether somebody may lose access by it."""
    known, wanted = draft.known, draft.document.access
    return known is not None and not (known.access.allow <= wanted.allow and known.access.deny >= wanted.deny)


def _taken(draft: Draft, chunks: int, sequence: int) -> Outcome:
    tenant, document = draft.key
    status: Status = "added" if draft.known is None else "updated"
    return Outcome(tenant, document, status, chunks, version=draft.document.version, sequence=sequence)


def _key(draft: Draft) -> Key:
    return draft.key
