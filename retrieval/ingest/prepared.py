"""From a stored text to what an index version holds of it: its chunks, their words with their context, their points."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

import msgspec

from retrieval.catalog import Content, Document, Holding
from retrieval.embed import Embedder
from retrieval.errors import RecipeError
from retrieval.index import Chunker, IndexRecipe
from retrieval.ingest.blocks import Block, Parsed
from retrieval.ingest.chunk import Chunk, chunk
from retrieval.ingest.context import embedded
from retrieval.ingest.parts import Words, parts_of, vectors_of
from retrieval.sparse import Bm25Encoder
from retrieval.store import ChunkPoint, ChunkRef

_WHOLE = 2  # budgets that one row of a table may take before it is cut


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
            place = part.start, part.end, part.heading, part.page, part.header
            ref = ChunkRef(document.id, self.document.version, *place)
            yield ChunkPoint(ref, document.access, document.category, document.updated, dense, sparse.document(text))

    def holding(self, document: Document, sparse: Bm25Encoder) -> Holding:
        """What the index holds of it once its points are durable."""
        tokens = sum(sparse.length(text) for text in self.texts)
        return Holding(self.digest, described_digest(document), len(self.chunks), tokens)


def prepare(documents: Sequence[tuple[Document, Content]], recipe: IndexRecipe, embedder: Embedder) -> list[Prepared]:
    """Cut each document by the recipe and embed all their chunks together; blocking, for seconds."""
    cut = [_cut(document, content, recipe, embedder) for document, content in documents]
    vectors = iter(vectors_of([parts for _, words in cut for parts in words], embedder))
    return [
        Prepared(
            document,
            chunks,
            [parts.text for parts in words],
            [next(vectors) for _ in chunks],
            content_digest(document, recipe),
        )
        for (document, _), (chunks, words) in zip(documents, cut, strict=True)
    ]


def content_digest(document: Document, recipe: IndexRecipe) -> str:
    """Over all that decides a document's chunks and vectors under one recipe."""
    chunker = recipe.chunker
    titled = document.title if chunker.context == "heading" else ""
    budget = _budget(chunker, document.name)
    other = () if budget == chunker.budget else (budget,)  # a name with another ending may change it
    return hashlib.sha256(msgspec.json.encode((document.version, recipe.parser, titled, *other))).hexdigest()


def described_digest(document: Document) -> str:
    """Over a document's access and metadata, as its chunks carry them."""
    access = document.access
    carried = (sorted(access.allow), sorted(access.deny), document.category, document.updated)
    return hashlib.sha256(msgspec.json.encode(carried)).hexdigest()


def _cut(
    document: Document, content: Content, recipe: IndexRecipe, embedder: Embedder
) -> tuple[tuple[Chunk, ...], list[Words]]:
    """Chunks within the recipe's budget by the embedder's own count, and the words of each."""
    blocks = msgspec.json.decode(content.blocks, type=tuple[Block, ...]) if content.blocks else ()
    text, chunker = content.text, recipe.chunker
    budget, count = _budget(chunker, document.name), embedder.count_tokens
    read = _read(chunker, budget, embedder)
    limit = None if chunker.name == "tree-1" else min(read, _WHOLE * budget)
    chunks = chunk(text, blocks, budget=budget, count_tokens=count, chunker=chunker.name, limit=limit)
    title = document.title if chunker.context == "heading" else None

    def worded(one: Chunk, words: str, room: int) -> str:
        if chunker.name == "tree-1":
            return (_path(title, one) if title is not None else "") + words
        return embedded(words, one, title, budget, room, count)

    words = []
    for one in chunks:
        own = text[one.start : one.end]
        parts = [worded(one, part, embedder.max_tokens) for part in parts_of(own, chunker.part, count)]
        words.append(Words(worded(one, own, read), parts))
    return chunks, words


def _budget(chunker: Chunker, name: str) -> int:
    """The budget for a file of this name."""
    return chunker.budgets.get(PurePosixPath(name).suffix.removeprefix(".").lower(), chunker.budget)


def _read(chunker: Chunker, budget: int, embedder: Embedder) -> int:
    """How many tokens of a chunk reach the embedder; RecipeError when that would not be all of it."""
    if chunker.part > embedder.max_tokens or (
        not chunker.part and chunker.name != "tree-1" and budget > embedder.max_tokens
    ):
        what = "part" if chunker.part else "budget"
        raise RecipeError(
            f"the chunker {chunker.name!r} has a {what} of {chunker.part or budget} tokens, and the embedder reads "
            f"{embedder.max_tokens} of a text: set a smaller one"
        )
    return max(_WHOLE * budget, embedder.max_tokens) if chunker.part else embedder.max_tokens


def _path(title: str, one: Chunk) -> str:
    return " > ".join([title, *(part for part in one.heading if part != title)]) + "\n"
