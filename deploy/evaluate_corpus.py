"""A collection's documents in a library of their own, taken in by the product's way of writing and open for finding."""

import hashlib
import sys
import tempfile
import unicodedata
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from deploy.beir import BeirDocument
from deploy.ingesting import OpenIndexes
from retrieval.acl import Access, Principal, access_filter
from retrieval.catalog import Catalog
from retrieval.documents import Documents
from retrieval.index import Fusion, IndexRecipe
from retrieval.ingest.sandbox import ParserPool
from retrieval.live import LiveIndex, Progress
from retrieval.newdocument import NewDocument
from retrieval.opening import EMBEDDED, Place, open_live

_TENANT, _BATCH, _LONGEST_TITLE = "evaluation", 128, 400
READER = access_filter(Principal(_TENANT, "reader", frozenset({"readers"}), frozenset()))
_ACCESS = Access(_TENANT, frozenset({"group:readers"}))
PATIENCE = 60.0
"""Seconds for a reranker: quality is not to depend on how busy the machine is, and latency tells what it takes."""
# What a collection calls its documents says nothing, and a file name would be embedded as their title.
UNTITLED = "Untitled"


@dataclass(frozen=True, slots=True)
class Corpus:
    """An index version over a collection; `names` are its own ids by the ids that the library knows them by."""

    index: LiveIndex
    names: dict[str, str]
    documents: int
    chunks: int

    async def text(self, name: str) -> str:
        """A document's text as the library keeps it, by the id that the library knows it by."""
        catalog, parser = self.index.catalog, self.index.recipe.parser
        document = await catalog.get(_TENANT, name)
        held = await catalog.text(_TENANT, name, document.version, parser) if document else None
        return held or ""


@asynccontextmanager
async def opened_corpus(
    documents: Sequence[BeirDocument], recipe: IndexRecipe, progress: Progress, keep: Path | None = None
) -> AsyncIterator[Corpus]:
    """Documents under all of a recipe that decides chunks and vectors; how they are searched is the finder's.

    What was built in the folder `keep` is used again for the same documents, chunks and vectors.
    """
    content = content_recipe(recipe)
    async with AsyncExitStack() as stack:
        folder = keep / _key(documents, content) if keep else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        catalog = await stack.enter_async_context(Catalog.open(folder / "catalog.db"))
        parser = stack.enter_context(ParserPool())
        index = await open_live(content, Place(folder / "indexes"), catalog, create=True, parser=parser)
        stack.push_async_callback(index.close)
        if await catalog.manifest(index.name) is None:
            await _take_in(Documents(catalog, OpenIndexes(index, []), parser), documents, progress)
            await index.store.optimize()
            await index.seal(EMBEDDED)
        names = dict(zip(_ids(documents), (one.id for one in documents), strict=True))
        yield Corpus(index, names, len(await catalog.held(index.name)), await index.store.count())


def content_recipe(recipe: IndexRecipe) -> IndexRecipe:
    """What of a recipe decides chunks and vectors, everything else as it is in all recipes of an evaluation."""
    return IndexRecipe(
        label="evaluation",
        parser=recipe.parser,
        chunker=recipe.chunker,
        embedder=recipe.embedder,
        bm25=recipe.bm25,
        fusion=Fusion("convex", 0.5, 0.5),
        reranker=None,
        candidates=100,
        passages=1,
        abstain_below=0.0,
    )


def _ids(documents: Sequence[BeirDocument]) -> list[str]:
    """Ids that any library takes, whatever a collection calls its documents."""
    return [f"{number:08}" for number in range(len(documents))]


def _key(documents: Sequence[BeirDocument], content: IndexRecipe) -> str:
    digest = hashlib.sha256(msgspec.json.encode([(one.id, one.title, one.text) for one in documents]))
    return f"{content.name}-{digest.hexdigest()[:12]}"


async def _take_in(library: Documents, documents: Sequence[BeirDocument], progress: Progress) -> None:
    """Put them all; what the library refuses is told and cannot be found."""
    new = [_new(name, one) for name, one in zip(_ids(documents), documents, strict=True)]
    for start in range(0, len(new), _BATCH):
        progress(start, len(new), "taking in documents")
        for outcome in await library.put(new[start : start + _BATCH]):
            if outcome.reason is not None:
                sys.stderr.write(f"not taken in: {documents[int(outcome.document)].id!r}: {outcome.reason}\n")


def _new(name: str, document: BeirDocument) -> NewDocument:
    title = _plain(document.title)
    text = document.text if document.text.strip() else document.title
    return NewDocument(name, f"{name}.txt", text.encode(), _ACCESS, "collection", title or UNTITLED)


def _plain(title: str) -> str:
    """A title as the library takes one: a line of printable, composed characters that is not too long."""
    line = unicodedata.normalize("NFC", "".join(one if one.isprintable() else " " for one in title))
    return " ".join(line.split())[:_LONGEST_TITLE].strip()
