"""What an evaluation of finding measured: its configurations side by side, and each question to look at failures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import msgspec

from deploy.beir import Beir, BeirQuestion
from deploy.ranking import Difference, Measures, difference, label, mean
from retrieval.findings import Found
from retrieval.index import IndexRecipe

BASELINE, RERANKED = "fused", "fused+rerank"


@dataclass(frozen=True, slots=True)
class Ranked:
    """What one question found: documents by their best passage, best first, and the milliseconds of a usual find."""

    question: BeirQuestion
    found: Mapping[str, Found]
    milliseconds: float
    degraded: bool


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One configuration over all questions of a split."""

    configuration: str
    ranked: Sequence[Ranked]
    measures: Mapping[str, Measures]

    @property
    def mean(self) -> Measures:
        """Over all questions."""
        return mean(list(self.measures.values()))

    @property
    def latency(self) -> float:
        """Median milliseconds of embedding a question and finding ten passages."""
        return median(one.milliseconds for one in self.ranked)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All configurations that were asked for, over one collection under one index version."""

    beir: Beir
    recipe: IndexRecipe
    documents: int
    chunks: int
    configurations: Sequence[Evaluated]

    def rows(self, pinned: str | None) -> list[dict[str, Any]]:
        """A row for each configuration; `default` is what the version named `pinned` does."""
        usual = RERANKED if self.recipe.reranker else BASELINE
        return [
            {
                "dataset": self.beir.name,
                "split": self.beir.split,
                "configuration": one.configuration,
                "default": one.configuration == usual and self.recipe.name == pinned,
                **one.mean.named(),
                "latency_ms": one.latency,
                "questions": len(one.ranked),
                "documents": self.documents,
                "chunks": self.chunks,
                "index": self.recipe.name,
                "pinned": self.recipe.name == pinned,
                "degraded": sum(ranked.degraded for ranked in one.ranked),
                **self._against_baseline(one),
            }
            for one in self.configurations
        ]

    def questions(self) -> list[dict[str, Any]]:
        """A row for each question and configuration, to look at failures."""
        known = {one.id: one for one in self.beir.documents}
        return [
            {
                "configuration": one.configuration,
                "id": ranked.question.id,
                "question": ranked.question.text,
                "gold": self.beir.judged[ranked.question.id],
                "label": label(self.beir.judged[ranked.question.id], list(ranked.found), known),
                **one.measures[ranked.question.id].named(),
                "found": [_found(name, rank, found) for rank, (name, found) in enumerate(ranked.found.items(), 1)],
            }
            for one in self.configurations
            for ranked in one.ranked
        ]

    def _against_baseline(self, one: Evaluated) -> dict[str, Any]:
        baseline = next((held for held in self.configurations if held.configuration == BASELINE), None)
        if baseline is None or one is baseline:
            return {}
        told: dict[str, Difference] = {}
        for name in ("ndcg@10", "recall@100", "mrr"):
            pairs = [(one.measures[key].named()[name], held.named()[name]) for key, held in baseline.measures.items()]
            told[name] = difference(*zip(*pairs, strict=True))
        return {"difference": {"to": BASELINE, **{name: msgspec.to_builtins(held) for name, held in told.items()}}}


def _found(name: str, rank: int, found: Found) -> dict[str, Any]:
    scores = {"score": found.score, "cosine": found.cosine, "bm25": found.bm25, "rerank": found.rerank}
    return {"document": name, "rank": rank, **scores}
