"""The writing story: documents come, change, lose readers and go, and every open index version follows.

Content: parse, cut and embed under no lock, make the chunks durable, then let the catalog name the new version.
Access and deletion: the catalog goes first, from then on nobody is shown what was taken; every open index follows
before the change is acknowledged. A writer that dies anywhere leaves the old state or the new one.
"""

import asyncio
import hashlib
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import PurePath
from urllib.parse import quote

import msgspec

from retrieval.acl import Access
from retrieval.catalog import Catalog, Content, Document, Version
from retrieval.errors import (
    AccessMissing,
    CannotRevert,
    DocumentMissing,
    DocumentRefused,
    OriginConflict,
    SupersedesItself,
)
from retrieval.ingest.blocks import PARSER, Parsed, ParseError
from retrieval.ingest.prepared import Parser
from retrieval.live import Key
from retrieval.newdocument import NewDocument, given_digest, is_plain, require_valid
from retrieval.outcome import Deleted, Outcome, Status, refused
from retrieval.publishing import Draft, Indexes, Publisher, conflict, narrowed

__all__ = ["Deleted", "Documents", "Indexes", "Outcome", "Status", "refused"]


@dataclass(slots=True)
class Documents:
    """`on_change` is called after each change, so that index versions which take no traffic can follow.

    Errors: CatalogError and StoreError when a part does not answer; what was asked may then be half done, is never
    half shown, and is finished by asking again.
    """

    catalog: Catalog
    indexes: Indexes
    parser: Parser
    on_change: Callable[[], None] = field(default=lambda: None)
    _quiet: asyncio.Lock = field(default_factory=asyncio.Lock)

    @asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """Nothing is committed inside: for whoever changes which index versions are open."""
        async with self._quiet:
            yield

    async def known(self, origin: str) -> list[Document]:
        """All documents of one source."""
        return [document async for document in self.catalog.each(None, origin=origin)]

    async def put(
        self, new: Sequence[NewDocument], *, ingestion: str = "", accepted: Mapping[str, int] | None = None
    ) -> list[Outcome]:
        """Take documents in together; each has its own outcome, and one that is refused holds up none of the others.

        `accepted` is the tenant's sequence when they were handed in: access taken away since stays taken away, and
        what was deleted since stays deleted.
        """
        if accepted is None:
            accepted = {tenant: await self.catalog.sequence(tenant) for tenant in {one.access.tenant for one in new}}
        outcomes: list[Outcome] = []
        for batch in _without_repeats(new):
            outcomes += await self._put(batch, ingestion, accepted)
        return outcomes

    async def grant(self, tenant: str, document: str, access: Access, *, since: int | None = None) -> Document:
        """Change who may read a document: true in every open index version when this returns.

        What was taken from its readers after the tenant's sequence `since` stays taken away.
        """
        async with self._quiet, self.catalog.writing([tenant]):
            known = await self._known(tenant, document)
            if since is not None and known.epoch > since:
                access = narrowed(known.access, access)
            epoch = known.epoch
            if known.access != access:
                epoch = await self.catalog.grant(tenant, document, access)
            await self._spread(tenant, document, epoch)
        self.on_change()
        return await self._known(tenant, document)

    async def delete(self, tenant: str, document: str, *, erased: bool = False) -> Deleted:
        """Delete a document and all its versions: true in every open index version when this returns.

        One that was cut off may be asked for again, and what is deleted may still be erased; else DocumentMissing.
        """
        async with self._quiet, self.catalog.writing([tenant]):
            unfinished = await self._unfinished(tenant, document, erased)
            hidden = await self.catalog.supersedes(tenant, document)
            sequence = unfinished
            if sequence is None or erased:
                sequence = await self.catalog.delete(tenant, document, erased=erased)
            chunks = await self._spread(tenant, document, sequence)
        self.on_change()
        restored = [one for one in hidden if await self.catalog.superseded_by(tenant, one) is None]
        return Deleted(sequence, chunks, restored)

    async def revert(self, tenant: str, document: str, to: str | None = None) -> Outcome:
        """Bring earlier content back, `to` a version or the one before; access stays as it is now."""
        known = await self._known(tenant, document)
        earlier = [one for one in await self.catalog.history(tenant, document) if one.document.version != known.version]
        chosen = next((one for one in earlier if to is None or one.document.version == to), None)
        if chosen is None:
            told = f"no version {to!r} other than the current one" if to else "no earlier version"
            raise CannotRevert(f"{document!r} has {told}: its history shows what there is")
        return await self._restore(known, chosen)

    async def revert_ingestion(self, tenant: str, ingestion: str) -> list[Outcome]:
        """Undo what one ingestion did to contents; documents that were changed since, or were new, stay as they are."""
        changed = await self.catalog.of_ingestion(tenant, ingestion)
        if not changed:
            raise DocumentMissing(f"no ingestion {ingestion!r} changed a document")
        return [await self._undo(tenant, document, ingestion) for document in changed]

    async def _put(self, new: Sequence[NewDocument], ingestion: str, accepted: Mapping[str, int]) -> list[Outcome]:
        settled: dict[Key, Outcome] = {}
        drafts: list[Draft] = []
        for one in new:
            taken = await self._draft(one, accepted.get(one.access.tenant, 0))
            if isinstance(taken, Outcome):
                settled[one.access.tenant, one.id] = taken
            else:
                drafts.append(taken)
        for outcome in await self._publisher().publish(drafts, ingestion, accepted):
            settled[outcome.tenant, outcome.document] = outcome
        return [settled[one.access.tenant, one.id] for one in new]

    async def _draft(self, new: NewDocument, since: int) -> Draft | Outcome:
        """Parse what changed; what did not, or differs in access alone, is settled here."""
        try:
            require_valid(new)
            known = await self.catalog.get(new.access.tenant, new.id)
            _require_origin(new, known)
            version = f"sha256:{hashlib.sha256(new.raw).hexdigest()}"
            if known is not None and (known.version, known.given) == (version, given_digest(new)):
                return await self._regrant(known, new.access, since)
            parsed = await asyncio.to_thread(self.parser.parse, new.name, new.raw)
        except ParseError as error:
            reason = f"{new.id!r} cannot be parsed: {error}"
            return Outcome(new.access.tenant, new.id, "failed", reason=reason, code="document_refused")
        except (AccessMissing, DocumentRefused, OriginConflict, SupersedesItself) as error:
            return refused(new.access.tenant, new.id, error)
        content = Content(PARSER, parsed.text, msgspec.json.encode(parsed.blocks))
        return Draft(_document(new, version, parsed), content, new.raw, known)

    async def _regrant(self, known: Document, access: Access, since: int) -> Outcome:
        if known.access == access:
            return Outcome(access.tenant, known.id, "unchanged", version=known.version, sequence=known.sequence)
        changed = await self.grant(access.tenant, known.id, access, since=since)
        return Outcome(access.tenant, known.id, "access", version=changed.version, sequence=changed.sequence)

    def _publisher(self) -> Publisher:
        return Publisher(self.catalog, self.indexes, self._quiet, self.on_change)

    async def _spread(self, tenant: str, document: str, sequence: int) -> int:
        """Take a change of access or a deletion to every open index version; how many chunks went.

        One that has yet to hear of the content, which may be the same change, is not marked: it follows.
        """
        known, gone = await self.catalog.get(tenant, document), 0
        for index in self.indexes.retained():
            gone = max(gone, await index.take(tenant, document))
            if known is None or not await index.lacks(known):
                await index.mark(tenant, sequence - 1, sequence)
        await self.catalog.require(tenant, sequence)
        return gone

    async def _undo(self, tenant: str, document: str, ingestion: str) -> Outcome:
        try:
            known = await self._known(tenant, document)
            history = await self.catalog.history(tenant, document)
            return await self._restore(known, _before(document, history, ingestion))
        except (CannotRevert, DocumentMissing) as error:
            return refused(tenant, document, error)

    async def _restore(self, known: Document, chosen: Version) -> Outcome:
        """Earlier content is a new change, with the access of now."""
        tenant, version = known.access.tenant, chosen.document.version
        content = await self.catalog.content(tenant, known.id, version, PARSER)
        raw = await self.catalog.original(tenant, known.id, version)
        if content is None or raw is None:
            raise CannotRevert(f"version {version!r} of {known.id!r} is not kept any more")
        document = replace(chosen.document, access=known.access, origin=known.origin)
        accepted = {tenant: known.sequence}
        (outcome,) = await self._publisher().publish([Draft(document, content, raw, known)], "", accepted)
        return outcome

    async def _known(self, tenant: str, document: str) -> Document:
        known = await self.catalog.get(tenant, document)
        if known is None:
            raise _missing(document)
        return known

    async def _unfinished(self, tenant: str, document: str, erased: bool) -> int | None:
        """The change that deleted a document already, where that has to go on; None while it is there."""
        if await self.catalog.get(tenant, document) is not None:
            return None
        tombstone = await self.catalog.tombstone(tenant, document)
        marks = (await self.catalog.sequences()).get(tenant)
        if tombstone is None or marks is None or not (erased or tombstone.sequence > marks.required):
            raise _missing(document)
        return tombstone.sequence


def _missing(document: str) -> DocumentMissing:
    return DocumentMissing(f"there is no document {document!r}")


def _before(document: str, history: Sequence[Version], ingestion: str) -> Version:
    """The content that an ingestion replaced; CannotRevert when it replaced none, or was itself replaced."""
    if history[0].ingestion != ingestion:
        raise CannotRevert(f"{document!r} was changed again since: revert it by itself if that is meant")
    earlier = next((one for one in history if one.ingestion != ingestion), None)
    if earlier is None:
        raise CannotRevert(f"{document!r} was new in this ingestion: delete it if it should go")
    return earlier


def _document(new: NewDocument, version: str, parsed: Parsed) -> Document:
    """What was given comes first, then what the document says of itself.

    Access and what a document supersedes are only ever given, as either takes documents from their readers.
    """
    own = parsed.metadata
    return Document(
        id=new.id,
        version=version,
        title=new.title or _kept(parsed.title) or PurePath(new.id).stem or new.id,
        source=new.source or quote(new.id, safe="/"),
        category=new.category or _kept(own.get("category")),
        updated=new.updated or _day(own.get("updated")),
        supersedes=new.supersedes,
        access=new.access,
        origin=new.origin,
        expires=new.expires,
        name=new.name,
        given=given_digest(new),
    )


def _kept(text: str | None) -> str | None:
    """What a document says of itself in one composed line, unless a database or a reader could stumble over that."""
    line = unicodedata.normalize("NFC", " ".join((text or "").split()))
    return line if is_plain(line) else None


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if text else None
    except ValueError:
        return None


def _require_origin(new: NewDocument, known: Document | None) -> None:
    if known is not None and known.origin != new.origin:
        raise conflict(new.id, known.origin)


def _without_repeats(new: Iterable[NewDocument]) -> Iterator[list[NewDocument]]:
    """Stretches in which no document occurs twice, so that the later one finds the earlier one taken in."""
    batch: dict[Key, NewDocument] = {}
    for one in new:
        key = one.access.tenant, one.id
        if key in batch:
            yield list(batch.values())
            batch = {}
        batch[key] = one
    if batch:
        yield list(batch.values())
