"""A catalog with one or two open index versions on the embedded engine, and documents that are handed in as text."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from retrieval.acl import Access, Principal, access_filter
from retrieval.catalog import Catalog
from retrieval.documents import Documents
from retrieval.embed import HASH
from retrieval.findings import Found
from retrieval.index import Bm25, Chunker, Embedding, Fusion, IndexRecipe
from retrieval.ingest.blocks import Parsed
from retrieval.ingest.parse import parse
from retrieval.live import LiveIndex
from retrieval.newdocument import NewDocument
from retrieval.opening import Place, open_live
from retrieval.store import Narrowing

STAFF = Access("acme", frozenset({"group:staff"}))
HR = Access("acme", frozenset({"group:hr"}))
ANA = Principal("acme", "ana", frozenset({"staff"}), frozenset())
HANNEKE = Principal("acme", "hanneke", frozenset({"hr"}), frozenset())
RECIPE = IndexRecipe(
    label="shelf",
    parser="blocks-1",
    chunker=Chunker("tree-1", 20, "heading"),
    embedder=Embedding(HASH, "", "", 64),
    bm25=Bm25(1.2, 0.75, 20.0, "english"),
    fusion=Fusion("convex", 0.5, 0.5),
    reranker=None,
    candidates=20,
    passages=5,
    abstain_below=0.0,
    collapse=0.0,
)
WIDER = msgspec.structs.replace(RECIPE, label="wider", chunker=Chunker("tree-1", 60, "heading"))


class PlainParser:
    """Parses in this process and counts how often."""

    def __init__(self) -> None:
        self.parsed = 0

    def parse(self, name: str, raw: bytes) -> Parsed:
        self.parsed += 1
        return parse(name, raw)


@dataclass
class Open:
    """Index versions as the tests want them: the first takes traffic."""

    indexes: list[LiveIndex] = field(default_factory=list)
    traffic: int = 0

    def serving(self) -> Sequence[LiveIndex]:
        return [self.indexes[self.traffic]]

    def retained(self) -> Sequence[LiveIndex]:
        return self.indexes


@dataclass
class Shelf:
    """What a test holds in its hands."""

    folder: Path
    catalog: Catalog
    open: Open
    documents: Documents
    parser: PlainParser

    @property
    def index(self) -> LiveIndex:
        return self.open.indexes[0]

    @property
    def place(self) -> Place:
        return Place(self.folder / "indexes")

    async def find(self, query: str, who: Principal = ANA, index: LiveIndex | None = None) -> list[Found]:
        finder = (index or self.open.serving()[0]).finder()
        return list((await finder.find(query, access_filter(who), Narrowing(), limit=20)).passages)

    async def shown(self, query: str, who: Principal = ANA, index: LiveIndex | None = None) -> set[str]:
        """Which documents are found."""
        return {found.passage.ref.document for found in await self.find(query, who, index)}


def new(name: str, text: str, access: Access = STAFF, **fields: object) -> NewDocument:
    """A Markdown document."""
    return NewDocument(name, name, text.encode(), access, str(fields.pop("origin", "api")), **fields)  # type: ignore[arg-type]


@asynccontextmanager
async def shelf(folder: Path, *recipes: IndexRecipe) -> AsyncIterator[Shelf]:
    """Open what is in a folder, which may be empty."""
    async with AsyncExitStack() as stack:
        catalog = await stack.enter_async_context(Catalog.open(folder / "catalog.db"))
        parser, opened = PlainParser(), Open()
        made = Shelf(folder, catalog, opened, Documents(catalog, opened, parser), parser)
        for recipe in recipes or (RECIPE,):
            index = await open_live(recipe, made.place, catalog, create=True, parser=parser)
            stack.push_async_callback(index.close)
            await index.follow()
            await index.seal(made.place.where(recipe.name, None))
            opened.indexes.append(index)
        yield made
