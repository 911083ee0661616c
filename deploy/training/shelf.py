"""A training set's documents in chunks as an index version cuts them, found as it finds them."""

from collections.abc import Mapping
from dataclasses import dataclass
from operator import mul

import msgspec

from deploy.evaluate_corpus import READER, Corpus
from retrieval.index import IndexRecipe
from retrieval.store import Narrowing

_DEPTH = 60


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk's range in its document's text; `text` is what is embedded of it, title and headings included."""

    document: str
    start: int
    end: int
    text: str


async def open_shelf(corpus: Corpus, recipe: IndexRecipe) -> "Shelf":
    """Passages one by one, as a recipe finds them before anything is reranked, left out or packed."""
    held = await corpus.index.catalog.held(corpus.index.name)
    return Shelf(corpus, recipe, {document: tenant for tenant, document in held})


class Shelf:
    """Documents by the ids that the library knows them by; `known` gives these by the collection's own.

    `tenants` says whose each document is: those that the library took in.
    """

    def __init__(self, corpus: Corpus, recipe: IndexRecipe, tenants: Mapping[str, str]) -> None:
        single = msgspec.structs.replace(recipe, reranker=None, collapse=0.0, packing=None, abstain_weakest=0.0)
        self.corpus = corpus
        self.known = {name: known for known, name in corpus.names.items() if known in tenants}
        self._tenants = tenants
        self._finder = corpus.index.finder(single)
        self._cut: dict[str, list[tuple[Passage, list[float]]]] = {}

    async def passages(self, document: str) -> list[Passage]:
        """All of a document, in its order."""
        return [passage for passage, _ in await self._chunks(document)]

    async def find(self, question: str) -> list[Passage]:
        """What the index version finds, best first, whatever of it repeats something."""
        found = (await self._finder.find(question, READER, Narrowing(), limit=_DEPTH)).passages
        places = [(one.passage.ref.document, one.passage.ref.start) for one in found]
        known = {(one.document, one.start): one for name, _ in places for one in await self.passages(name)}
        return [known[place] for place in places]

    async def nearest(self, document: str, question: str) -> list[Passage]:
        """The one passage of a document whose vector is nearest to the question's; none where it has no words."""
        vector, chunks = await self.corpus.index.embedder.embed_query(question), await self._chunks(document)
        return [max(chunks, key=lambda one: sum(map(mul, one[1], vector)))[0]] if chunks else []

    async def _chunks(self, document: str) -> list[tuple[Passage, list[float]]]:
        if document not in self._cut:
            self._cut[document] = await self._prepared(document)
        return self._cut[document]

    async def _prepared(self, document: str) -> list[tuple[Passage, list[float]]]:
        """Made once more as the index made them, which costs little: the embedder remembers their vectors."""
        index, tenant = self.corpus.index, self._tenants[document]
        known = await index.catalog.get(tenant, document)
        if known is None:
            return []
        content = await index.catalog.content(tenant, document, known.version, index.recipe.parser)
        if content is None:
            return []
        (made,) = await index.prepare([(known, content)])
        passages = [
            Passage(document, one.start, one.end, text) for one, text in zip(made.chunks, made.texts, strict=True)
        ]
        return list(zip(passages, made.vectors, strict=True))
