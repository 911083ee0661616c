"""An open index version: it follows the catalog, document by document, and never decides anything by itself.

New chunks are durable before the catalog names their version, old ones go after. What is being written is noted first,
so that whatever a crash leaves behind is found and mended by the next `follow`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec

from retrieval.catalog import BEGUN, Catalog, Content, Document, Holding
from retrieval.embed import Embedder, Embedders
from retrieval.errors import RecipeError, StoreError
from retrieval.index import IndexManifest, IndexRecipe, Rerank
from retrieval.ingest.blocks import PARSER
from retrieval.ingest.chunk import CHUNKERS
from retrieval.ingest.prepared import Parser, Prepared, content_digest, described_digest, prepare
from retrieval.rerank import Reranker, Rerankers
from retrieval.search import Finder
from retrieval.sparse import Bm25Encoder
from retrieval.store import ChunkStore, Searchable

Progress: TypeAlias = Callable[[int, int, str], None]
Key: TypeAlias = tuple[str, str]
_BATCH_CHARACTERS, _BATCH_DOCUMENTS = 48_000, 128
_UNKNOWN = "unknown"  # the digest of what a writing that was cut off left behind


def silent(_done: int, _total: int, _what: str) -> None:
    """For those who want no progress."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What bringing an index up to date took: documents looked at, and chunks embedded for them."""

    documents: int = 0
    embedded: int = 0


@dataclass(slots=True)
class LiveIndex:
    """One index version, its store and the catalog that it follows. `parser` reads originals under a new parser.

    The embedder `model` and the reranker are opened when first needed: what changes no content loads none.
    """

    recipe: IndexRecipe
    store: ChunkStore
    catalog: Catalog
    parser: Parser | None = None
    model: Embedder | None = None
    embedded: int = 0
    embedders: Embedders = field(default_factory=Embedders)
    rerankers: Rerankers = field(default_factory=Rerankers)
    _opinions: dict[Rerank, Reranker] = field(default_factory=dict)
    _sparse: Bm25Encoder = field(init=False)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _following: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        require_built_in(self.recipe)
        self._sparse = Bm25Encoder(self.recipe.bm25)

    @property
    def name(self) -> str:
        """The index version's name."""
        return self.recipe.name

    @property
    def embedder(self) -> Embedder:
        """The recipe's embedder, opened by whoever needs it first."""
        if self.model is None:
            self.model = self.embedders.open(self.recipe.embedder)
        return self.model

    @property
    def reranker(self) -> Reranker | None:
        """The recipe's reranker, if it names one, opened by whoever needs it first."""
        return self._reranker(self.recipe)

    def finder(self, recipe: IndexRecipe | None = None, store: Searchable | None = None) -> Finder:
        """Finding under this version; for evaluation, as if it had other parameters of finding, or held less."""
        asked = recipe or self.recipe
        return Finder(asked, self.embedder, store or self.store, self.catalog, self._reranker(asked))

    async def close(self) -> None:
        """Let the store and the models go, when whoever is writing has ended; a model is given back once."""
        async with self._writing:
            try:
                await asyncio.to_thread(self._release)
            finally:
                await self.store.close()

    async def prepare(self, documents: Sequence[tuple[Document, Content]]) -> list[Prepared]:
        """Cut and embed, off the event loop and under no lock."""
        if not documents:
            return []
        made = await asyncio.to_thread(prepare, documents, self.recipe, self.embedder)
        self.embedded += sum(len(one.chunks) for one in made)
        return made

    async def lacks(self, document: Document) -> bool:
        """Whether its chunks have to be made: what it holds is of another version, or may be half of one."""
        held = await self.catalog.holding(self.name, document.access.tenant, document.id)
        return held is None or not held.described or held.digest != content_digest(document, self.recipe)

    async def stage(self, prepared: Sequence[Prepared], documents: Mapping[Key, Document]) -> None:
        """Make new chunks durable beside the old ones; nobody is shown them until the catalog names their version."""
        if not prepared:
            return
        points = [point for one in prepared for point in one.points(documents[_key(one.document)], self._sparse)]
        async with self._writing:
            await self._begin(_key(one.document) for one in prepared)
            await self.store.upsert(points)
            await self.store.flush()

    async def settle(self, prepared: Sequence[Prepared], documents: Sequence[Document]) -> None:
        """After the catalog named the versions: drop the chunks of others, carry the access, note what is held."""
        made = {_key(one.document): one for one in prepared}
        async with self._writing:
            holdings = {_key(one): await self._settled(one, made.get(_key(one))) for one in documents}
            await self.store.flush()
            await self.catalog.hold(self.name, holdings)

    async def take(self, tenant: str, document: str) -> int:
        """Apply what the catalog says of a document's access and existence, without embedding; chunks that went."""
        async with self._writing:
            known = await self.catalog.get(tenant, document)
            held = await self.catalog.holding(self.name, tenant, document)
            if known is not None:
                await self._describe(known, held)
                return 0
            return await self._drop(tenant, document)

    async def mark(self, tenant: str, before: int, sequence: int) -> None:
        """Note that changes up to `sequence` are in, if all up to `before` were."""
        if (await self.catalog.marks(self.name)).get(tenant, 0) >= before:
            await self.catalog.mark(self.name, tenant, sequence)

    async def behind(self) -> bool:
        """Whether the catalog has changes that this version has not."""
        return await self.catalog.behind(self.name)

    async def follow(self, progress: Progress = silent) -> Followed:
        """Bring every tenant up to the catalog's head; safe to repeat, and to repeat after a crash."""
        async with self._following:
            started = self.embedded
            documents = await self._mend()
            while work := await self._pending():
                total = documents + sum(len(changed) for changed in work.values())
                for tenant, changed in work.items():
                    async for batch in self._batches(tenant, changed):
                        progress(documents, total, batch.last)
                        await self._follow(batch)
                        documents += len(batch.names)
            return Followed(documents, self.embedded - started)

    async def rewrite(self) -> str:
        """Drop deleted bytes from the store's files, and what models hold from memory; writes wait, reads go on."""
        async with self._writing:
            for reranker in self._opinions.values():
                reranker.forget()
            if self.model is not None:
                self.model.forget()
            return await self.store.rewrite()

    async def tidy(self) -> bool:
        """Let the store give back what deleted chunks take, if that is much; writes wait, reads go on.

        Not now where somebody writes: there will be another time.
        """
        if self._writing.locked():
            return False
        async with self._writing:
            return await self.store.tidy()

    async def seal(self, place: str) -> IndexManifest:
        """Note that a build is complete; the content goes on following the catalog. A calibration is kept."""
        before = await self.catalog.manifest(self.name)
        held = (await self.catalog.held(self.name)).values()
        chunks = sum(one.chunks for one in held)
        manifest = IndexManifest(
            name=self.name,
            recipe=self.recipe,
            documents=len(held),
            chunks=chunks,
            measured_avg_len=round(sum(one.tokens for one in held) / max(1, chunks), 1),
            watermark=await self.catalog.marks(self.name),
            sealed=datetime.now(UTC),
            calibration=before.calibration if before else None,
        )
        await self.catalog.seal(manifest, place)
        return manifest

    async def require_whole(self) -> None:
        """StoreError when the store does not hold what the catalog noted."""
        noted = sum(one.chunks for one in (await self.catalog.held(self.name)).values())
        found = await self.store.count()
        if found != noted:
            raise StoreError(
                f"index {self.name!r} holds {found} chunks, the catalog noted {noted}: drop it, or if pinned stop "
                f"the gateway and delete its folder, then run `twinpin index build {self.name}`"
            )

    def _release(self) -> None:
        """A model's threads and connections may take a while to end."""
        model, self.model = self.model, None
        while self._opinions:
            self.rerankers.release(self._opinions.popitem()[1])
        if model is not None:
            self.embedders.release(model)

    def _reranker(self, recipe: IndexRecipe) -> Reranker | None:
        rule = recipe.reranker
        if rule is not None and rule not in self._opinions:
            self._opinions[rule] = self.rerankers.open(rule, self.embedder)
        return self._opinions[rule] if rule else None

    async def _pending(self) -> dict[str, list[tuple[str, int]]]:
        """The documents that changed since this version's marks, each with its last change, by tenant."""
        marks = await self.catalog.marks(self.name)
        behind = [one for one, head in (await self.catalog.sequences()).items() if marks.get(one, 0) < head.value]
        found = {tenant: await self.catalog.latest_changes(tenant, marks.get(tenant, 0)) for tenant in behind}
        return {tenant: changed for tenant, changed in found.items() if changed}

    async def _mend(self) -> int:
        """Bring documents whose writing was cut off to what the catalog says of them; their chunks are made anew."""
        return sum([await self._mend_one(*key) for key in await self.catalog.unsettled(self.name)])

    async def _mend_one(self, tenant: str, document: str) -> bool:
        """Whoever writes a document does so with nobody else writing: unsettled by then, its writer is dead."""
        async with self.catalog.writing([tenant]), self._writing:
            held = await self.catalog.holding(self.name, tenant, document)
            if held is None or held.described:
                return False
            known = await self.catalog.get(tenant, document)
            await self.store.delete(tenant, document, keep=known.version if known else None)
            await self.catalog.hold(self.name, {(tenant, document): BEGUN})
        async for batch in self._batches(tenant, [(document, 0)]):
            await self._follow(batch)
        return True

    async def _batches(self, tenant: str, changed: Sequence[tuple[str, int]]) -> AsyncIterator["_Batch"]:
        """Gather changed documents, with the text of those that lack chunks, until there is enough to embed at once."""
        batch = _Batch(tenant)
        for name, sequence in changed:
            known = await self.catalog.get(tenant, name)
            lacking = known is not None and await self.lacks(known)
            batch.add(name, sequence, (known, await self._content(known)) if known and lacking else None)
            if batch.full:
                yield batch
                batch = _Batch(tenant)
        if batch.names:
            yield batch

    async def _follow(self, batch: "_Batch") -> None:
        """Embed under no lock; then, with nobody else writing, take in what is still as it was."""
        prepared = await self.prepare(batch.lacking)
        async with self.catalog.writing([batch.tenant]):
            known = {name: await self.catalog.get(batch.tenant, name) for name in batch.names}
            for name in (name for name, one in known.items() if one is None):
                async with self._writing:
                    await self._drop(batch.tenant, name)
            await self._catch_up([one for one in known.values() if one is not None], prepared)
            await self.catalog.mark(self.name, batch.tenant, batch.sequence)

    async def _catch_up(self, known: Sequence[Document], prepared: Sequence[Prepared]) -> None:
        """Documents as the catalog has them now; a content that came meanwhile is a later change, with its own turn."""
        digests = {_key(one): content_digest(one, self.recipe) for one in known}
        made = [one for one in prepared if digests.get(_key(one.document)) == one.digest]
        fresh = {_key(one.document) for one in made}
        current = [one for one in known if _key(one) in fresh or not await self.lacks(one)]
        await self.stage(made, {_key(one): one for one in current})
        await self.settle(made, current)

    async def _content(self, document: Document) -> Content:
        """The stored text under this recipe's parser, made from the original where it is not there yet."""
        tenant = document.access.tenant
        held = await self.catalog.content(tenant, document.id, document.version, self.recipe.parser)
        if held is not None:
            return held
        raw = await self.catalog.original(tenant, document.id, document.version)
        if raw is None or self.parser is None:
            raise RecipeError(f"{document.id!r} has no text under the parser {self.recipe.parser!r}: put it again")
        parsed = await asyncio.to_thread(self.parser.parse, document.name, raw)
        made = Content(self.recipe.parser, parsed.text, msgspec.json.encode(parsed.blocks))
        await self.catalog.store_content(tenant, document.id, document.version, made)
        return made

    async def _begin(self, keys: Iterable[Key]) -> None:
        held = {key: await self.catalog.holding(self.name, *key) for key in keys}
        await self.catalog.hold(self.name, {key: _begun(one) for key, one in held.items()})

    async def _settled(self, document: Document, made: Prepared | None) -> Holding:
        """Chunks that were just made carry their document's access; others are told it."""
        tenant = document.access.tenant
        held = await self.catalog.holding(self.name, tenant, document.id) or BEGUN
        if made is None:
            await self.store.describe(document.id, document.access, document.category, document.updated)
            return replace(held, described=described_digest(document))
        if held.digest:
            await self.store.delete(tenant, document.id, keep=document.version)
        return made.holding(document, self._sparse)

    async def _describe(self, known: Document, held: Holding | None) -> None:
        await self.store.describe(known.id, known.access, known.category, known.updated)
        await self.store.flush()
        if held is not None and held.described:
            described = replace(held, described=described_digest(known))
            await self.catalog.hold(self.name, {_key(known): described})

    async def _drop(self, tenant: str, document: str) -> int:
        """Deletion is counted and proved by a probe."""
        gone = await self.store.delete(tenant, document)
        await self.store.flush()
        if await self.store.holds(tenant, document):
            raise StoreError(f"index {self.name!r} still holds chunks of a deleted document")
        await self.catalog.hold(self.name, {(tenant, document): None})
        return gone


@asynccontextmanager
async def closing(index: LiveIndex) -> AsyncIterator[LiveIndex]:
    """Use an index version and close it."""
    try:
        yield index
    finally:
        await index.close()


def require_built_in(recipe: IndexRecipe) -> None:
    """A recipe is not built with another parser or chunker than the one it names."""
    for part, named, built_in in (("parser", recipe.parser, (PARSER,)), ("chunker", recipe.chunker.name, CHUNKERS)):
        if named not in built_in:
            raise RecipeError(
                f"index {recipe.name!r} wants the {part} {named!r}, and this release has {' and '.join(built_in)}"
            )
    if min((recipe.chunker.budget, *recipe.chunker.budgets.values())) < 1:
        raise RecipeError(f"index {recipe.name!r} has a chunker without room: make its budgets 1 token or more")


def _key(document: Document) -> Key:
    return document.access.tenant, document.id


def _begun(held: Holding | None) -> Holding:
    """A document that is being written; whatever there is of it already has a digest, and goes in the end."""
    return BEGUN if held is None else replace(held, digest=held.digest or _UNKNOWN, described="")


@dataclass(slots=True)
class _Batch:
    """Changed documents of one tenant up to change `sequence`; `lacking` are those whose chunks are to be made."""

    tenant: str
    names: list[str] = field(default_factory=list)
    lacking: list[tuple[Document, Content]] = field(default_factory=list)
    sequence: int = 0

    @property
    def last(self) -> str:
        return self.names[-1]

    @property
    def full(self) -> bool:
        characters = sum(len(content.text) for _, content in self.lacking)
        return characters >= _BATCH_CHARACTERS or len(self.names) >= _BATCH_DOCUMENTS

    def add(self, name: str, sequence: int, lacking: tuple[Document, Content] | None) -> None:
        self.names.append(name)
        self.sequence = max(self.sequence, sequence)
        if lacking is not None:
            self.lacking.append(lacking)
