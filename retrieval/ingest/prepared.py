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
from retrieval.ingest.around import blended, surroundings, with_surroundings
from retrieval.ingest.blocks import Block, Parsed
from retrieval.ingest.chunk import Chunk, chunk
from retrieval.ingest.context import embedded
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
    """A document version, cut and embedded under one recipe; `texts` and `vectors` are one for each of `chunks`.

    `around` are the words of a chunk with its neighbours', None where it is found by itself; `share` is theirs.
    """

    document: Document
    chunks: Sequence[Chunk]
    texts: Sequence[str]
    vectors: Sequence[list[float]]
    digest: str
    around: Sequence[str | None]
    share: float

    def points(self, document: Document, sparse: Bm25Encoder) -> Iterator[ChunkPoint]:
        """The chunks as a store takes them, with the access that `document` has by now."""
        for part, text, around, dense in zip(self.chunks, self.texts, self.around, self.vectors, strict=True):
            place = part.start, part.end, part.heading, part.page, part.header
            ref = ChunkRef(document.id, self.document.version, *place)
            words = sparse.document(text)
            if around is not None:
                words = blended(words, sparse.document(around), self.share)
            yield ChunkPoint(ref, document.access, document.category, document.updated, dense, words)

    def holding(self, document: Document, sparse: Bm25Encoder) -> Holding:
        """What the index holds of it once its points are durable."""
        tokens = sum(sparse.length(text) for text in self.texts)
        return Holding(self.digest, described_digest(document), len(self.chunks), tokens)


def prepare(documents: Sequence[tuple[Document, Content]], recipe: IndexRecipe, embedder: Embedder) -> list[Prepared]:
    """Cut each document by the recipe and embed all their chunks together; blocking, for seconds."""
    cut = [_cut(document, content, recipe, embedder) for document, content in documents]
    vectors = iter(embedder.embed([text for one in cut for text in one.texts]))
    share = recipe.chunker.around
    return [
        Prepared(
            document,
            one.chunks,
            one.texts,
            list(with_surroundings([next(vectors) for _ in one.chunks], one.texts, one.places, share)),
            content_digest(document, recipe),
            list(one.around(content.text)),
            share,
        )
        for (document, content), one in zip(documents, cut, strict=True)
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


@dataclass(frozen=True, slots=True)
class _Cut:
    """A document's chunks, what is embedded of each, and the places of those that each is found by."""

    chunks: Sequence[Chunk]
    texts: Sequence[str]
    places: Sequence[range]

    def around(self, text: str) -> Iterator[str | None]:
        """What stands around a chunk before and after what is embedded of it; None where nothing does."""
        for here, (own, place) in enumerate(zip(self.texts, self.places, strict=True)):
            others = {n: text[self.chunks[n].start : self.chunks[n].end] for n in place}
            yield "\n".join({**others, here: own}.values()) if len(place) > 1 else None


def _cut(document: Document, content: Content, recipe: IndexRecipe, embedder: Embedder) -> _Cut:
    """Chunks within the recipe's budget by the embedder's own count."""
    blocks = msgspec.json.decode(content.blocks, type=tuple[Block, ...]) if content.blocks else ()
    text, chunker = content.text, recipe.chunker
    budget, count = _budget(chunker, document.name), embedder.count_tokens
    titled = chunker.context == "heading"
    if chunker.name == "tree-1":
        chunks = chunk(text, blocks, budget=budget, count_tokens=count)
        texts = [(_path(document.title, one) if titled else "") + text[one.start : one.end] for one in chunks]
    else:
        read = _read(chunker, budget, embedder)
        limit = min(read, _WHOLE * budget)
        chunks = chunk(text, blocks, budget=budget, count_tokens=count, chunker=chunker.name, limit=limit)
        title = document.title if titled else None
        texts = [embedded(text[one.start : one.end], one, title, budget, read, count) for one in chunks]
    return _Cut(
        chunks, texts, surroundings(chunks) if chunker.around else [range(n, n + 1) for n in range(len(chunks))]
    )


def _budget(chunker: Chunker, name: str) -> int:
    """The budget for a file of this name."""
    return chunker.budgets.get(PurePosixPath(name).suffix.removeprefix(".").lower(), chunker.budget)


def _read(chunker: Chunker, budget: int, embedder: Embedder) -> int:
    """How many tokens the embedder reads of a text; RecipeError when it would not read all of a chunk."""
    if budget > embedder.max_tokens:
        raise RecipeError(
            f"the chunker {chunker.name!r} has a budget of {budget} tokens, and the embedder reads "
            f"{embedder.max_tokens} of a text: set a smaller one"
        )
    return embedder.max_tokens


def _path(title: str, one: Chunk) -> str:
    return " > ".join([title, *(part for part in one.heading if part != title)]) + "\n"
