"""From a stored text to what an index version holds of it: its chunks, their words with their context, their points."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from retrieval.catalog import Content, Document, Holding
from retrieval.embed import Embedder
from retrieval.index import IndexRecipe
from retrieval.ingest.blocks import Block, Parsed
from retrieval.ingest.chunk import Chunk, chunk
from retrieval.sparse import Bm25Encoder
from retrieval.store import ChunkPoint, ChunkRef


class Parser(Protocol):
    """Turns bytes into text and blocks; ParseError when it cannot."""

    def parse(self, name: str, raw: bytes) -> Parsed:
        """Parse one file; blocking."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document version, cut and embedded under one recipe; `texts` and `vectors` are one for each of `chunks`."""

    document: Document
    chunks: Sequence[Chunk]
    texts: Sequence[str]
    vectors: Sequence[list[float]]
    digest: str

    def points(self, document: Document, sparse: Bm25Encoder) -> Iterator[ChunkPoint]:
        """The chunks as a store takes them, with the access that `document` has by now."""
        for part, text, dense in zip(self.chunks, self.texts, self.vectors, strict=True):
            ref = ChunkRef(document.id, self.document.version, part.start, part.end, part.heading, part.page)
            yield ChunkPoint(ref, document.access, document.category, document.updated, dense, sparse.document(text))

    def holding(self, document: Document, sparse: Bm25Encoder) -> Holding:
        """What the index holds of it once its points are durable."""
        tokens = sum(sparse.length(text) for text in self.texts)
        return Holding(self.digest, described_digest(document), len(self.chunks), tokens)


def prepare(documents: Sequence[tuple[Document, Content]], recipe: IndexRecipe, embedder: Embedder) -> list[Prepared]:
    """Cut each document by the recipe and embed all their chunks together; blocking, for seconds."""
    cut = [_cut(document, content, recipe, embedder) for document, content in documents]
    vectors = iter(embedder.embed([text for _, texts in cut for text in texts]))
    return [
        Prepared(document, chunks, texts, [next(vectors) for _ in chunks], content_digest(document, recipe))
        for (document, _), (chunks, texts) in zip(documents, cut, strict=True)
    ]


def content_digest(document: Document, recipe: IndexRecipe) -> str:
    """Over all that decides a document's chunks and vectors under one recipe."""
    titled = document.title if recipe.chunker.context == "heading" else ""
    return hashlib.sha256(msgspec.json.encode((document.version, recipe.parser, titled))).hexdigest()


def described_digest(document: Document) -> str:
    """Over a document's access and metadata, as its chunks carry them."""
    access = document.access
    carried = (sorted(access.allow), sorted(access.deny), document.category, document.updated)
    return hashlib.sha256(msgspec.json.encode(carried)).hexdigest()


def _cut(
    document: Document, content: Content, recipe: IndexRecipe, embedder: Embedder
) -> tuple[tuple[Chunk, ...], list[str]]:
    """Chunks within the recipe's budget by the embedder's own count, and what is embedded of each."""
    blocks = msgspec.json.decode(content.blocks, type=tuple[Block, ...]) if content.blocks else ()
    chunks = chunk(content.text, blocks, budget=recipe.chunker.budget, count_tokens=embedder.count_tokens)
    titled = recipe.chunker.context == "heading"
    return chunks, [
        (_context(document.title, one.heading) if titled else "") + content.text[one.start : one.end] for one in chunks
    ]


def _context(title: str, heading: Sequence[str]) -> str:
    return " > ".join([title, *(part for part in heading if part != title)]) + "\n"
