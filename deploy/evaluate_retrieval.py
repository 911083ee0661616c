"""Finding on a judged collection, leg by leg and as an index version pins it, through the finder that answers use."""

import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from deploy.beir import Beir, BeirError, BeirQuestion
from deploy.evaluate_corpus import PATIENCE, READER, Corpus, opened_corpus
from deploy.evaluated import BASELINE, RERANKED, Evaluated, Evaluation, Ranked
from deploy.ranking import DEPTH, measure
from retrieval.findings import Found
from retrieval.index import Fusion, IndexRecipe
from retrieval.live import Progress
from retrieval.search import Finder
from retrieval.store import Narrowing

CONFIGURATIONS = ("bm25", "dense", "rrf", BASELINE, RERANKED)
_SHOWN = 10


def require_known(only: Sequence[str] | None) -> Sequence[str]:
    """The configurations that were asked for, or all; BeirError for one that there is not."""
    if wrong := set(only or ()).difference(CONFIGURATIONS):
        raise BeirError(f"there is no configuration {min(wrong)!r}: there are {', '.join(CONFIGURATIONS)}")
    return only or CONFIGURATIONS


async def evaluate_retrieval(
    beir: Beir,
    recipe: IndexRecipe,
    progress: Progress,
    *,
    only: Sequence[str] = CONFIGURATIONS,
    keep: Path | None = None,
) -> Evaluation:
    """Ask the split's questions in every configuration, one configuration after the other for each question.

    Errors: BeirError when no question has a relevant document, or no configuration is left.
    """
    if not beir.asked:
        raise BeirError(f"no question of {beir.name!r}, {beir.split!r} has a relevant document")
    if list(only) == [RERANKED] and recipe.reranker is None:
        raise BeirError(f"index version {recipe.name!r} has no reranker")
    async with opened_corpus(beir.documents, recipe, progress, keep) as corpus:
        finders = _finders(corpus, recipe, only)
        ranked: dict[str, list[Ranked]] = {name: [] for name in finders}
        async for name, one in _ask(beir, corpus, finders, progress):
            ranked[name].append(one)
    relevant = {one.id: beir.judged[one.id] for one in beir.asked}
    configurations = [
        Evaluated(name, held, measure(relevant, {one.question.id: list(one.found) for one in held}))
        for name, held in ranked.items()
        if name in only
    ]
    return Evaluation(beir, recipe, corpus.documents, corpus.chunks, configurations)


@dataclass(frozen=True, slots=True)
class _Pair:
    """A configuration's finder as it would be pinned, and one for whole rankings: each document is judged by itself.

    So those show repetitions and as many passages of a document as there are. `head` is how deep the order is the
    pinned one: further down a leg has to give more candidates, and below its pairs a reranker says nothing, so the
    documents of the configuration `below` follow. A `lexical` one finds nothing without a word of the question.
    """

    usual: Finder
    deep: Finder
    head: int
    below: str | None = None
    lexical: bool = False


def _finders(corpus: Corpus, recipe: IndexRecipe, only: Sequence[str]) -> dict[str, _Pair]:
    plain = msgspec.structs.replace(recipe, reranker=None)
    legs = {
        "bm25": Fusion("convex", 0.0, 1.0),
        "dense": Fusion("convex", 1.0, 0.0),
        "rrf": Fusion("rrf", 1.0, 1.0),
        BASELINE: recipe.fusion,
    }
    wanted = {name for name in only if name != RERANKED or recipe.reranker}
    wanted |= {BASELINE} if RERANKED in wanted else set()
    made = {
        name: _pair(
            corpus, msgspec.structs.replace(plain, fusion=fusion), recipe.candidates // 2, lexical=name == "bm25"
        )
        for name, fusion in legs.items()
        if name in wanted
    }
    if recipe.reranker and RERANKED in wanted:
        made[RERANKED] = _pair(corpus, recipe, recipe.reranker.pairs, below=BASELINE)
    return made


def _pair(corpus: Corpus, recipe: IndexRecipe, head: int, *, below: str | None = None, lexical: bool = False) -> _Pair:
    deep = msgspec.structs.replace(recipe, collapse=0.0, packing=None)
    return _Pair(corpus.index.finder(recipe), corpus.index.finder(deep), max(head, 1), below, lexical)


async def _ask(
    beir: Beir, corpus: Corpus, finders: Mapping[str, _Pair], progress: Progress
) -> AsyncIterator[tuple[str, Ranked]]:
    scope = await corpus.index.catalog.scope(READER)
    for number, question in enumerate(beir.asked):
        progress(number, len(beir.asked), "asking")
        # Embedders remember questions: only the first time tells what embedding one takes.
        started = time.perf_counter()
        await corpus.index.embedder.embed_query(question.text, scope=scope.key)
        embedding = time.perf_counter() - started
        told: dict[str, Ranked] = {}
        for name, pair in finders.items():
            told[name] = await _rank((question, beir.judged[question.id]), pair, corpus, embedding, told)
            yield name, told[name]


async def _rank(
    asked: tuple[BeirQuestion, Collection[str]],
    pair: _Pair,
    corpus: Corpus,
    embedding: float,
    told: Mapping[str, Ranked],
) -> Ranked:
    question, relevant = asked
    usual = await pair.usual.find(question.text, READER, Narrowing(), limit=_SHOWN, rerank_within=PATIENCE)
    seconds = embedding + sum(taken for stage, taken in usual.timings.items() if stage != "embed")
    if pair.below is None:
        found = await _documents(question.text, pair, corpus)
    else:
        head = await pair.deep.find(
            question.text, READER, Narrowing(), limit=pair.head, rerank_within=PATIENCE, confident=False
        )
        found = _by_document(head.passages, corpus)
        found |= {name: one for name, one in told[pair.below].found.items() if name not in found}
    # BEIR's rule, for collections whose questions are documents of their own; in others ids only happen to be equal.
    itself = set() if question.id in relevant else {question.id}
    kept = [(name, one) for name, one in found.items() if name not in itself and (one.bm25 or not pair.lexical)]
    return Ranked(question, dict(kept[:DEPTH]), 1_000 * seconds, usual.degraded)


async def _documents(question: str, pair: _Pair, corpus: Corpus) -> dict[str, Found]:
    """Documents in the order of their best passages, from deeper and deeper down until there are enough."""
    found: dict[str, Found] = {}
    limit = pair.head
    while True:
        findings = await pair.deep.find(question, READER, Narrowing(), limit=limit, confident=False)
        found |= {name: one for name, one in _by_document(findings.passages, corpus).items() if name not in found}
        if len(found) > DEPTH or len(findings.passages) < limit:
            return found
        limit *= 4


def _by_document(passages: Sequence[Found], corpus: Corpus) -> dict[str, Found]:
    best: dict[str, Found] = {}
    for one in passages:
        best.setdefault(corpus.names[one.passage.ref.document], one)
    return best
