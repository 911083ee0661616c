"""From a parsed file to what is written: the document, its chunks, their words with their context, their points."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import PurePath

import msgspec

from retrieval.acl import Access
from retrieval.catalog import Content, Document
from retrieval.embed import Embedder
from retrieval.index import IndexRecipe
from retrieval.ingest.blocks import Parsed
from retrieval.ingest.chunk import Chunk, chunk
from retrieval.ingest.sources import Rule, SourceDocument
from retrieval.sparse import Bm25Encoder
from retrieval.store import ChunkPoint, ChunkRef


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document version, cut but not yet embedded; `contexts` stand before the words of `chunks`, one for one."""

    document: Document
    content: Content
    digest: str
    chunks: Sequence[Chunk]
    contexts: Sequence[str]

    def texts(self) -> list[str]:
        """What is embedded: the chunk's own words behind where they stand."""
        return [
            context + self.content.text[one.start : one.end]
            for context, one in zip(self.contexts, self.chunks, strict=True)
        ]

    def points(self, vectors: Iterator[list[float]], sparse: Bm25Encoder) -> Iterator[ChunkPoint]:
        """The chunks as a store takes them; takes one of `vectors` for each."""
        document = self.document
        for part, text in zip(self.chunks, self.texts(), strict=True):
            ref = ChunkRef(document.id, document.version, part.start, part.end, part.heading, part.page)
            dense = next(vectors)
            yield ChunkPoint(ref, document.access, document.category, document.updated, dense, sparse.document(text))


def prepare(
    source: SourceDocument,
    access: Access,
    version: str,
    parsed: Parsed,
    recipe: IndexRecipe,
    embedder: Embedder,
    *,
    origin: str,
) -> Prepared:
    """Cut a parsed file by the recipe, with the embedder's own count of tokens."""
    budget = recipe.chunker.budget
    chunks = chunk(parsed.text, parsed.blocks, budget=budget, count_tokens=embedder.count_tokens)
    document = _document(source, access, version, parsed, origin)
    titled = recipe.chunker.context == "heading"
    contexts = [_context(document.title, one.heading) if titled else "" for one in chunks]
    content = Content(recipe.parser, parsed.text, msgspec.json.encode(parsed.blocks))
    return Prepared(document, content, content_digest(version, source.rule, recipe), chunks, contexts)


def content_digest(version: str, rule: Rule, recipe: IndexRecipe) -> str:
    """Over all that decides a document's chunks and metadata under one recipe; access is not among it."""
    described = (rule.title, rule.category, rule.updated, rule.supersedes)
    return hashlib.sha256(msgspec.json.encode((version, recipe.parser, described))).hexdigest()


def access_digest(access: Access) -> str:
    """Over a document's access, as its chunks carry it."""
    return hashlib.sha256(msgspec.json.encode((sorted(access.allow), sorted(access.deny)))).hexdigest()


def _context(title: str, heading: Sequence[str]) -> str:
    return " > ".join([title, *(part for part in heading if part != title)]) + "\n"


def _document(source: SourceDocument, access: Access, version: str, parsed: Parsed, origin: str) -> Document:
    """Rules come first, then what the document says of itself.

    From the rules alone come access and what a document supersedes, as either takes documents from their readers.
    """
    rule, own = source.rule, parsed.metadata
    return Document(
        id=source.id,
        version=version,
        title=rule.title or parsed.title or PurePath(source.id).stem,
        source=source.url(),
        category=rule.category or own.get("category"),
        updated=rule.updated or _day(own.get("updated")),
        supersedes=source.supersedes(),
        access=access,
        origin=origin,
    )


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if text else None
    except ValueError:
        return None
