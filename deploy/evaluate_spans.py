"""Whether the passages that are found hold the answer, in articles that an index version cuts as it does."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Protocol, TypeAlias

import msgspec

from deploy.evaluate_corpus import PATIENCE, READER, Corpus, opened_corpus
from deploy.squad import Squad, places
from retrieval.index import IndexRecipe
from retrieval.live import Progress
from retrieval.store import Narrowing

_DEPTH, _ENOUGH = 50, 0.5
Place: TypeAlias = tuple[str, int, int]
"""A document as the library knows it, and a range of its text."""
BUDGETS = (256, 512)
"""Tokens of passages that a model might be shown: small passages are many in these, large ones few."""


class Chunk(Protocol):
    """A range of a document's text."""

    @property
    def document(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


@dataclass(frozen=True, slots=True)
class SpansFound:
    """One question: how far down the first passage is that holds most of the answer, and what came before it."""

    id: str
    question: str
    document: str
    answer: str
    rank: int | None
    tokens: int
    shown: bool
    milliseconds: float


def span_figures(found: Sequence[SpansFound]) -> dict[str, float]:
    """Shares of all questions; MRR is over passages, of which fifty count."""
    within = {
        f"within {budget} tokens": _share(one.rank and one.tokens <= budget for one in found) for budget in BUDGETS
    }
    return {
        "mrr": fmean(1 / one.rank if one.rank else 0.0 for one in found),
        "shown": _share(one.shown for one in found),
        **within,
        "latency_ms": median(one.milliseconds for one in found),
    }


async def evaluate_spans(
    squad: Squad, recipe: IndexRecipe, progress: Progress, keep: Path | None = None
) -> tuple[list[SpansFound], int]:
    """What each question found, and how many chunks there are.

    `shown` is by the version as it is, packing included; ranks are of single passages, each with half of the answer.
    """
    deep = msgspec.structs.replace(recipe, reranker=None, collapse=0.0, packing=None)
    found = []
    async with opened_corpus(squad.documents, recipe, progress, keep) as corpus:
        spans, usual, whole = await answer_places(squad, corpus), corpus.index.finder(recipe), corpus.index.finder(deep)
        asked = [one for one in squad.questions if one.id in spans]
        for number, one in enumerate(asked):
            progress(number, len(asked), "asking")
            shown = await usual.find(one.text, READER, Narrowing(), limit=recipe.passages, rerank_within=PATIENCE)
            held = (await whole.find(one.text, READER, Narrowing(), limit=_DEPTH, confident=False)).passages
            place = spans[one.id]
            rank = next((rank for rank, each in enumerate(held, 1) if holds(each.passage.ref, place)), None)
            tokens = sum(corpus.index.embedder.count_tokens(each.passage.text) for each in held[: rank or _DEPTH])
            visible = any(holds(each.passage.ref, place) for each in shown.passages)
            taken = 1_000 * sum(shown.timings.values())
            found.append(SpansFound(one.id, one.text, one.document, one.answer, rank, tokens, visible, taken))
        return found, corpus.chunks


async def answer_places(squad: Squad, corpus: Corpus) -> Mapping[str, Place]:
    """Where each answer stands in the text as the library keeps it, by question; not those that it reads otherwise."""
    own = {name: known for known, name in corpus.names.items()}
    texts = {name: await corpus.text(own[name]) for name in {one.document for one in squad.questions}}
    found = {one.id: (one, list(places(one.answer, texts[one.document]))) for one in squad.questions}
    return {name: (own[one.document], *spans[one.nth]) for name, (one, spans) in found.items() if one.nth < len(spans)}


def holds(chunk: Chunk, place: Place) -> bool:
    """Whether a chunk has half of what stands at a place, or more."""
    document, start, end = place
    common = min(chunk.end, end) - max(chunk.start, start)
    return chunk.document == document and common >= _ENOUGH * (end - start)


def _share(flags: Iterable[object]) -> float:
    held = [bool(flag) for flag in flags]
    return sum(held) / len(held) if held else 0.0
