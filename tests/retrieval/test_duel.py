"""The duel: random callers, documents and access edits on the embedded engine, against an oracle without one."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from retrieval.acl import Access, Principal, access_filter
from retrieval.catalog import Catalog, Content, Document
from retrieval.edge_store import EdgeStore
from retrieval.embed import HASH, HashEmbedder
from retrieval.index import Bm25, Chunker, Embedding, Fusion, IndexRecipe
from retrieval.search import Finder
from retrieval.sparse import Bm25Encoder
from retrieval.store import ChunkPoint, ChunkRef, ChunkStore, Narrowing

QUERIES, DOCUMENTS, CHUNKS, LIMIT = 10_000, 150, 3, 8
WORDS = [f"word{n}" for n in range(60)]
GROUPS = [f"g{n}" for n in range(50)]
RECIPE = IndexRecipe(
    label="duel",
    parser="blocks-1",
    chunker=Chunker("tree-1", 100, "none"),
    embedder=Embedding(HASH, "", "", 32),
    bm25=Bm25(1.2, 0.75, 10.0, "english"),
    fusion=Fusion("convex", 0.5, 0.5),
    reranker=None,
    candidates=20,
    passages=LIMIT,
    abstain_below=0.0,
)


@dataclass
class World:
    """The documents as the oracle knows them: text and access, nothing else."""

    rng: random.Random
    catalog: Catalog
    store: ChunkStore
    access: dict[tuple[str, str], Access]
    text: dict[tuple[str, str], str]

    def random_access(self, tenant: str) -> Access:
        def some(most: int) -> frozenset[str]:
            users = [f"user:u{n}" for n in range(20)]
            grants = [f"group:{group}" for group in GROUPS] + users
            return frozenset(self.rng.sample(grants, self.rng.randint(0, most)))

        return Access(tenant, some(12), some(2) if self.rng.random() < 0.3 else frozenset())

    def random_principal(self) -> Principal:
        groups = frozenset(self.rng.sample(GROUPS, self.rng.randint(0, 50)))
        tenant = self.rng.choice(["acme", "other", "third", "nobody"])
        return Principal(tenant, f"u{self.rng.randrange(25)}", groups, frozenset())

    def permitted(self, who: Principal) -> set[tuple[str, str]]:
        """The rule, written again from the design and not from the code."""
        mine = {f"user:{who.subject}"} | {f"group:{group}" for group in who.groups}
        return {
            key
            for key, access in self.access.items()
            if key[0] == who.tenant and mine & access.allow and not mine & access.deny
        }


@asynccontextmanager
async def world(tmp_path: Path, seed: int) -> AsyncIterator[World]:
    rng = random.Random(seed)
    async with Catalog.open(tmp_path / "catalog.db") as catalog:
        store = EdgeStore.open(tmp_path / "idx", 32)
        made = World(rng, catalog, store, {}, {})
        for n in range(DOCUMENTS):
            await add(made, rng.choice(["acme", "other", "third"]), f"doc-{n % 60}")
        yield made
        await store.close()


async def add(made: World, tenant: str, name: str) -> None:
    text = " ".join(made.rng.choices(WORDS, k=12 * CHUNKS))
    access = made.random_access(tenant)
    document = Document(name, f"sha256:{made.rng.random()}", name, name, None, None, None, access)
    embedder, bm25 = HashEmbedder(32), Bm25Encoder(RECIPE.bm25)
    points, size = [], len(text) // CHUNKS
    for start in range(0, size * CHUNKS, size):
        part = text[start : start + size]
        ref = ChunkRef(name, document.version, start, start + size, (), None)
        points.append(ChunkPoint(ref, access, None, None, embedder.embed([part])[0], bm25.document(part)))
    await made.store.upsert(points)
    await made.catalog.put(document, Content("blocks-1", text, b""))
    await made.store.delete(tenant, name, keep=document.version)
    made.access[tenant, name], made.text[tenant, name] = access, text


async def edit(made: World) -> None:
    """Change somebody's access: everywhere, or in the catalog alone, as if an index had not heard of it yet."""
    tenant, name = made.rng.choice(list(made.access))
    access = made.random_access(tenant)
    known = await made.catalog.get(tenant, name)
    assert known is not None
    narrower = replace(made.access[tenant, name], deny=made.access[tenant, name].deny | access.deny)
    lags = made.rng.random() < 0.5
    made.access[tenant, name] = narrower if lags else access
    await made.catalog.describe(replace(known, access=made.access[tenant, name]))
    if not lags:
        await made.store.describe(name, access, None, None)


async def test_no_leak_and_no_under_filled_result(tmp_path: Path) -> None:
    seen = full = 0
    async with world(tmp_path, 20_261_121) as made:
        finder = Finder(RECIPE, HashEmbedder(32), made.store, made.catalog)
        for n in range(QUERIES):
            if n % 50 == 49:
                await edit(made)
            if n % 500 == 499:
                await add(made, *made.rng.choice(list(made.access)))
            who = made.random_principal()
            question = " ".join(made.rng.sample(WORDS, 3))
            findings = await finder.find(question, access_filter(who), Narrowing(), limit=LIMIT)
            permitted = made.permitted(who)
            shown = [(who.tenant, found.passage.ref.document) for found in findings.passages]
            assert set(shown) <= permitted, f"leak in query {n} for {who}"
            assert len(shown) == min(LIMIT, CHUNKS * len(permitted)), f"under-filled in query {n} for {who}"
            for found in findings.passages:
                ref = found.passage.ref
                assert found.passage.text == made.text[who.tenant, ref.document][ref.start : ref.end]
            assert findings.violations == 0
            seen += len(shown)
            full += len(shown) == LIMIT
    assert full > QUERIES / 4, "the control: most callers must be able to see something"
    assert seen > QUERIES
