"""The ingestion story: read, parse, chunk, embed, write, confirm in the catalog, seal.

A document's new chunks are durable in the index before the catalog names its new version, and until then no reader is
shown them; its old chunks go last. So a run that dies anywhere is repaired by running it again.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from retrieval.acl import Access
from retrieval.catalog import Catalog, Content, Document, Indexed
from retrieval.embed import Embedder
from retrieval.errors import AccessMissing, SourceError
from retrieval.index import IndexManifest, IndexRecipe, is_sealed, unseal, write_manifest
from retrieval.ingest.chunk import Chunk, chunk
from retrieval.ingest.parse import Parsed, ParseError
from retrieval.ingest.sources import Rule, SourceDocument
from retrieval.sparse import Bm25Encoder
from retrieval.store import ChunkPoint, ChunkRef, ChunkStore

_BATCH = 64
Status = Literal["added", "updated", "access", "unchanged", "refused", "failed"]


class Parser(Protocol):
    """Turns bytes into text and blocks; ParseError when it cannot."""

    def parse(self, name: str, raw: bytes) -> Parsed:
        """Parse one file."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one document; `reason` is set where it was refused or failed."""

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


@dataclass(frozen=True, slots=True)
class _Prepared:
    document: Document
    content: Content
    digest: str
    chunks: Sequence[Chunk]
    contexts: Sequence[str]
    status: Status

    def texts(self) -> list[str]:
        """What is embedded: the chunk's own words behind where they stand."""
        return [
            context + self.content.text[one.start : one.end]
            for context, one in zip(self.contexts, self.chunks, strict=True)
        ]


@dataclass(slots=True)
class Ingestion:
    """One run over a source into one index version. `progress` hears (documents done, of how many, what now)."""

    recipe: IndexRecipe
    directory: Path
    catalog: Catalog
    store: ChunkStore
    embedder: Embedder
    parser: Parser
    progress: Callable[[int, int, str], None]
    _waiting: list[_Prepared] = field(default_factory=list)
    _embedded: int = 0

    async def run(self, documents: Sequence[SourceDocument]) -> Report:
        """Ingest what changed and seal; safe to repeat, and to repeat after a crash."""
        if await self.store.count() == 0:
            await self.catalog.forget_index(self.recipe.name)
        held = await self.catalog.indexed(self.recipe.name)
        outcomes = []
        for done, source in enumerate(documents):
            self.progress(done, len(documents), source.id)
            outcomes.append(await self._take(source, held))
        await self._write()
        self.progress(len(documents), len(documents), "sealing")
        return Report(tuple(outcomes), self._embedded, await self._seal(outcomes))

    async def _take(self, source: SourceDocument, held: Mapping[tuple[str, str], Indexed]) -> Outcome:
        try:
            return await self._ingest(source, held)
        except AccessMissing as error:
            return Outcome(source.id, "refused", reason=str(error))
        except (SourceError, ParseError) as error:
            return Outcome(source.id, "failed", reason=str(error))

    async def _ingest(self, source: SourceDocument, held: Mapping[tuple[str, str], Indexed]) -> Outcome:
        access, raw = source.access(), source.read()
        version = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        known = await self.catalog.get(access.tenant, source.id)
        digest = self._digest(version, source.rule)
        indexed = held.get((access.tenant, source.id))
        if known is not None and indexed is not None and indexed.digest == digest:
            return await self._grant(known, access, indexed.chunks)
        parsed = self.parser.parse(source.path.name, raw)
        prepared = self._prepare(_document(source, access, version, parsed), parsed, digest, known is not None)
        self._waiting.append(prepared)
        if sum(len(one.chunks) for one in self._waiting) >= _BATCH:
            await self._write()
        return Outcome(source.id, prepared.status, len(prepared.chunks))

    async def _grant(self, known: Document, access: Access, chunks: int) -> Outcome:
        """Content is as it was; access may not be. The catalog, which decides, goes first."""
        if known.access == access:
            return Outcome(known.id, "unchanged", chunks)
        unseal(self.directory)
        await self.catalog.describe(replace(known, access=access))
        await self.store.describe(known.id, access, known.category, known.updated)
        return Outcome(known.id, "access", chunks)

    def _prepare(self, document: Document, parsed: Parsed, digest: str, known: bool) -> _Prepared:
        budget = self.recipe.chunker.budget
        chunks = chunk(parsed.text, parsed.blocks, budget=budget, count_tokens=self.embedder.count_tokens)
        contexts = [self._context(document.title, one.heading) for one in chunks]
        content = Content(self.recipe.parser, parsed.text, msgspec.json.encode(parsed.blocks))
        return _Prepared(document, content, digest, chunks, contexts, "updated" if known else "added")

    def _context(self, title: str, heading: Sequence[str]) -> str:
        if self.recipe.chunker.context == "none":
            return ""
        return " > ".join([title, *(part for part in heading if part != title)]) + "\n"

    async def _write(self) -> None:
        """Embed what waits in one go, make it durable, then let the catalog say so."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        unseal(self.directory)
        vectors = iter(self.embedder.embed([text for one in waiting for text in one.texts()]))
        sparse = Bm25Encoder(self.recipe.bm25)
        tokens = [sum(sparse.length(text) for text in one.texts()) for one in waiting]
        points = [point for one in waiting for point in _points(one, vectors, sparse)]
        await self.store.upsert(points)
        await self.store.flush()
        self._embedded += len(points)
        for one, length in zip(waiting, tokens, strict=True):
            await self._confirm(one, length)

    async def _confirm(self, one: _Prepared, tokens: float) -> None:
        tenant, document = one.document.access.tenant, one.document.id
        await self.catalog.put(one.document, one.content)
        await self.store.delete(tenant, document, keep=one.document.version)
        await self.catalog.mark_indexed(
            self.recipe.name, tenant, document, Indexed(one.digest, len(one.chunks), tokens)
        )

    async def _seal(self, outcomes: Sequence[Outcome]) -> IndexManifest:
        """Merge segments if anything changed, and write the manifest that a gateway will check."""
        if not is_sealed(self.directory):
            await self.store.optimize()
        await self.store.flush()
        held = (await self.catalog.indexed(self.recipe.name)).values()
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
        write_manifest(self.directory, manifest)
        return manifest

    def _digest(self, version: str, rule: Rule) -> str:
        """Over all that decides a document's chunks and metadata; access is not among it."""
        described = (rule.title, rule.category, rule.updated, rule.supersedes)
        return hashlib.sha256(msgspec.json.encode((version, self.recipe.parser, described))).hexdigest()


def _points(one: _Prepared, vectors: Iterator[list[float]], sparse: Bm25Encoder) -> Iterator[ChunkPoint]:
    document = one.document
    for part, text in zip(one.chunks, one.texts(), strict=True):
        ref = ChunkRef(document.id, document.version, part.start, part.end, part.heading, part.page)
        dense = next(vectors)
        yield ChunkPoint(ref, document.access, document.category, document.updated, dense, sparse.document(text))


def _document(source: SourceDocument, access: Access, version: str, parsed: Parsed) -> Document:
    """Rules come first, then what the document says of itself; access comes from the rules alone."""
    rule, own = source.rule, parsed.metadata
    return Document(
        id=source.id,
        version=version,
        title=rule.title or parsed.title or source.path.stem,
        source=source.id,
        category=rule.category or own.get("category"),
        updated=rule.updated or _day(own.get("updated")),
        supersedes=rule.supersedes or own.get("supersedes"),
        access=access,
    )


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if text else None
    except ValueError:
        return None
