"""The ingestion story: read, parse, chunk, embed, write, confirm in the catalog, seal.

A document's new chunks are durable in the index before the catalog names its new version, and until then no reader is
shown them; its old chunks go last. So a run that dies anywhere is repaired by running it again. What a rule takes away
is taken away at once; what it gives is given together with the content that it was written for. A document belongs to
the folder it came from, its origin: no other folder changes it, and when it leaves the folder, its readers lose it.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import msgspec

from retrieval.acl import Access
from retrieval.catalog import BEGUN, Catalog, Document, Indexed
from retrieval.embed import Embedder
from retrieval.errors import AccessMissing, IndexNotSealed, RecipeError, SourceError, SupersedesItself
from retrieval.index import IndexManifest, IndexRecipe, read_manifest, unseal, write_manifest
from retrieval.ingest.blocks import PARSER, Parsed, ParseError
from retrieval.ingest.chunk import CHUNKER
from retrieval.ingest.prepared import Prepared, access_digest, content_digest, prepare
from retrieval.ingest.sources import RULES_FILE, SourceDocument
from retrieval.sparse import Bm25Encoder
from retrieval.store import ChunkStore

Status = Literal["added", "updated", "access", "unchanged", "refused", "failed", "moved", "gone"]
_Held: TypeAlias = Mapping[tuple[str, str], Indexed]


class Parser(Protocol):
    """Turns bytes into text and blocks; ParseError when it cannot."""

    def parse(self, name: str, raw: bytes) -> Parsed:
        """Parse one file."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one document; `reason` is set where it was refused, failed, moved to another tenant or is gone."""

    document: str
    status: Status
    chunks: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run and the seal it ended with."""

    outcomes: tuple[Outcome, ...]
    embedded: int
    manifest: IndexManifest

    @property
    def troubled(self) -> list[Outcome]:
        """Documents that did not get in."""
        return [outcome for outcome in self.outcomes if outcome.status in ("refused", "failed")]

    @property
    def departed(self) -> list[Outcome]:
        """Documents that this run took from their readers, because they left the folder or the tenant."""
        return [outcome for outcome in self.outcomes if outcome.status in ("moved", "gone")]


@dataclass(slots=True)
class Ingestion:
    """One run over a source into one index version. `progress` hears (documents done, of how many, what now).

    Documents are embedded and written together as soon as they have `batch` chunks.
    """

    recipe: IndexRecipe
    directory: Path
    catalog: Catalog
    store: ChunkStore
    embedder: Embedder
    parser: Parser
    progress: Callable[[int, int, str], None]
    batch: int = 64
    _waiting: list[Prepared] = field(default_factory=list)
    _embedded: int = 0
    _origin: str = ""
    _origins: Mapping[tuple[str, str], str] = field(default_factory=dict)

    async def run(self, documents: Sequence[SourceDocument], origin: str) -> Report:
        """Ingest what changed and seal; safe to repeat, and to repeat after a crash.

        `documents` is all that there is of `origin`: what else the catalog has of it loses its readers.
        """
        _require_built_in(self.recipe)
        held = await self._repair()
        self._origin, self._origins = origin, await self.catalog.origins()
        outcomes = await self._dismiss(documents, held)
        for done, source in enumerate(documents):
            self.progress(done, len(documents), source.id)
            outcomes.append(await self._take(source, held))
        await self._write()
        self.progress(len(documents), len(documents), "sealing")
        return Report(tuple(outcomes), self._embedded, await self._seal())

    async def _repair(self) -> _Held:
        """What the index holds, after what a run that died was writing is gone: the catalog knows what stands."""
        if await self.store.count() == 0:
            await self.catalog.forget_index(self.recipe.name)
        held = await self.catalog.indexed(self.recipe.name)
        for tenant, document in [key for key, one in held.items() if one == BEGUN]:
            known = await self.catalog.get(tenant, document)
            await self.store.delete(tenant, document, keep=known.version if known else None)
        return held

    async def _dismiss(self, documents: Sequence[SourceDocument], held: _Held) -> list[Outcome]:
        """Take what is no longer in the folder, or no longer its tenant's, from its readers before anything else."""
        tenants = {source.id: source.rule.tenant for source in documents}
        mine = sorted(key for key, origin in self._origins.items() if origin == self._origin)
        outcomes = []
        for tenant, document in mine:
            if document in tenants and tenants[document] == tenant:
                continue
            lost = await self._narrow(document, Access(tenant, frozenset()), held)
            if lost and (document not in tenants or tenants[document]):
                outcomes.append(_departure(document, tenant, tenants.get(document)))
        return outcomes

    async def _take(self, source: SourceDocument, held: _Held) -> Outcome:
        """A document that does not get in keeps its content, but not the access that its rules no longer give."""
        if (holder := self._origins.get((source.rule.tenant or "", source.id), self._origin)) != self._origin:
            return Outcome(source.id, "refused", reason=_taken(source, holder))
        try:
            return await self._ingest(source, held)
        except AccessMissing as error:
            if source.rule.tenant:
                await self._narrow(source.id, Access(source.rule.tenant, frozenset()), held)
            return Outcome(source.id, "refused", reason=str(error))
        except SupersedesItself as error:
            await self._narrow(source.id, source.access(), held)
            return Outcome(source.id, "refused", reason=str(error))
        except (SourceError, ParseError) as error:
            await self._narrow(source.id, source.access(), held)
            named = str(error) if isinstance(error, SourceError) else f"{source.id!r} cannot be parsed: {error}"
            return Outcome(source.id, "failed", reason=named)

    async def _ingest(self, source: SourceDocument, held: _Held) -> Outcome:
        access, raw = source.access(), source.read()
        version = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        known = await self.catalog.get(access.tenant, source.id)
        indexed = held.get((access.tenant, source.id), BEGUN)
        if known is not None and indexed.digest == content_digest(version, source.rule, self.recipe):
            return await self._grant(known, source.url(), access, indexed)
        parsed = self.parser.parse(source.path.name, raw)
        await self._narrow(source.id, access, held)
        prepared = prepare(source, access, version, parsed, self.recipe, self.embedder, origin=self._origin)
        self._waiting.append(prepared)
        if sum(len(one.chunks) for one in self._waiting) >= self.batch:
            await self._write()
        return Outcome(source.id, "added" if known is None else "updated", len(prepared.chunks))

    async def _grant(self, known: Document, url: str, access: Access, indexed: Indexed) -> Outcome:
        """Content is as it was; access and address may not be, here or in the index alone."""
        readers = known.access == access and indexed.access == access_digest(access)
        if readers and known.source == url:
            return Outcome(known.id, "unchanged", indexed.chunks)
        await self._describe(replace(known, source=url), access, indexed)
        return Outcome(known.id, "updated" if readers else "access", indexed.chunks)

    async def _narrow(self, document: str, access: Access, held: _Held) -> bool:
        """Take from a document's readers those whom `access` does not permit, and give to nobody; whether any were."""
        known = await self.catalog.get(access.tenant, document)
        if known is None:
            return False
        indexed = held.get((access.tenant, document), BEGUN)
        left = Access(access.tenant, known.access.allow & access.allow, known.access.deny | access.deny)
        if known.access == left and (indexed == BEGUN or indexed.access == access_digest(left)):
            return False
        await self._describe(known, left, indexed)
        return True

    async def _describe(self, known: Document, access: Access, indexed: Indexed) -> None:
        """Change who may read a document; the catalog, which decides, goes first."""
        unseal(self.directory)
        await self.catalog.describe(replace(known, access=access))
        await self.store.describe(known.id, access, known.category, known.updated)
        await self.store.flush()
        if indexed != BEGUN:
            await self._mark(known, replace(indexed, access=access_digest(access)))

    async def _write(self) -> None:
        """Embed what waits in one go, make it durable, then let the catalog say so."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        unseal(self.directory)
        vectors = iter(self.embedder.embed([text for one in waiting for text in one.texts()]))
        sparse = Bm25Encoder(self.recipe.bm25)
        points = [point for one in waiting for point in one.points(vectors, sparse)]
        for one in waiting:
            await self._mark(one.document, BEGUN)
        await self.store.upsert(points)
        await self.store.flush()
        self._embedded += len(points)
        await self._confirm(waiting, sparse)

    async def _confirm(self, written: Sequence[Prepared], sparse: Bm25Encoder) -> None:
        """Name the new versions, drop the chunks of the old ones, and note both once they are durable."""
        for one in written:
            await self.catalog.put(one.document, one.content)
            await self.store.delete(one.document.access.tenant, one.document.id, keep=one.document.version)
        await self.store.flush()
        for one in written:
            tokens = sum(sparse.length(text) for text in one.texts())
            access = access_digest(one.document.access)
            await self._mark(one.document, Indexed(one.digest, len(one.chunks), tokens, access))

    async def _mark(self, document: Document, held: Indexed) -> None:
        await self.catalog.mark_indexed(self.recipe.name, document.access.tenant, document.id, held)

    async def _seal(self) -> IndexManifest:
        """Merge segments if anything changed, and write the manifest that a gateway will check."""
        before = self._standing_seal()
        if before is None:
            await self.store.optimize()
        await self.store.flush()
        held = [one for one in (await self.catalog.indexed(self.recipe.name)).values() if one != BEGUN]
        chunks = sum(one.chunks for one in held)
        manifest = IndexManifest(
            name=self.recipe.name,
            recipe=self.recipe,
            documents=len(held),
            chunks=await self.store.count(),
            measured_avg_len=round(sum(one.tokens for one in held) / max(1, chunks), 1),
            watermark=await self.catalog.watermark(),
            sealed=datetime.now(UTC),
        )
        if before is not None and msgspec.structs.replace(manifest, sealed=before.sealed) == before:
            return before
        write_manifest(self.directory, manifest)
        return manifest

    def _standing_seal(self) -> IndexManifest | None:
        """The seal of an index in which nothing changed; RecipeError when another recipe made it."""
        try:
            return read_manifest(self.directory, self.recipe)
        except IndexNotSealed:
            return None


def _taken(source: SourceDocument, holder: str) -> str:
    return (
        f"{source.id!r} came from another folder, {holder!r}: write `prefix:` with a name at the top of {RULES_FILE} "
        f"to tell their documents apart, or `origin: {holder}` if it is the same folder at another place"
    )


def _departure(document: str, tenant: str, now: str | None) -> Outcome:
    if now:
        told = f"{document!r} moved to tenant {now!r}: nobody in tenant {tenant!r} can read it any more"
        return Outcome(document, "moved", reason=told)
    told = f"{document!r} is not in the folder: nobody in tenant {tenant!r} can read it any more, until it is put back"
    return Outcome(document, "gone", reason=told)


def _require_built_in(recipe: IndexRecipe) -> None:
    """A recipe is not built with another parser or chunker than the one it names."""
    for part, named, built_in in (("parser", recipe.parser, PARSER), ("chunker", recipe.chunker.name, CHUNKER)):
        if named != built_in:
            raise RecipeError(f"index {recipe.name!r} wants the {part} {named!r}, and this release has {built_in!r}")
