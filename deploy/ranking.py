"""Pure measures of rankings against judgements, question by question, and what chance has to do with a difference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

DEPTH = 100
"""How many documents of a ranking count."""
_RESAMPLES, _SEED = 10_000, 20_261_121
Judged = Mapping[str, Mapping[str, int]]
Ranking = Mapping[str, Sequence[str]]
Label = Literal["found", "ranked too low", "not found", "missing knowledge"]
_FIRST = 10


@dataclass(frozen=True, slots=True)
class Measures:
    """Of one question, or the mean over several."""

    ndcg_10: float
    recall_10: float
    recall_100: float
    mrr: float

    def named(self) -> dict[str, float]:
        """By the names that benchmarks use."""
        held = (("ndcg@10", self.ndcg_10), ("recall@10", self.recall_10), ("recall@100", self.recall_100))
        return {**dict(held), "mrr": self.mrr}


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean of paired differences, and between which two means 95 of 100 resamples of the questions lie."""

    mean: float
    low: float
    high: float


def calculate(names: Sequence[str], judged: Judged, ranked: Ranking) -> dict[str, list[float]]:
    """For every question in `judged` its values of the measures that ir-measures calls so; what is not found is 0.0."""
    from ir_measures import Qrel, ScoredDoc, calc, parse_measure

    wanted = [parse_measure(name) for name in names]
    qrels = [Qrel(name, document, grade) for name, grades in judged.items() for document, grade in grades.items()]
    run = [
        ScoredDoc(name, document, -float(rank)) for name in judged for rank, document in enumerate(ranked.get(name, ()))
    ]
    values = {(one.query_id, one.measure): float(one.value) for one in calc(wanted, qrels, run).per_query}
    return {name: [values.get((name, one), 0.0) for one in wanted] for name in judged}


def measure(judged: Judged, ranked: Ranking) -> dict[str, Measures]:
    """Measures of every question in `judged`; `ranked` is documents, best first, of which the first hundred count."""
    within = {name: documents[:DEPTH] for name, documents in ranked.items()}
    values = calculate(("nDCG@10", "R@10", f"R@{DEPTH}", "RR"), judged, within)
    return {name: Measures(*held) for name, held in values.items()}


def mean(measures: Sequence[Measures]) -> Measures:
    """Over questions; 0.0 over none."""
    columns = zip(*((one.ndcg_10, one.recall_10, one.recall_100, one.mrr) for one in measures), strict=True)
    return Measures(*map(fmean, columns)) if measures else Measures(0.0, 0.0, 0.0, 0.0)


def difference(values: Sequence[float], baseline: Sequence[float]) -> Difference:
    """How much better than a baseline on the same questions, by a paired bootstrap with a seed of its own."""
    import numpy as np

    paired = np.subtract(values, baseline)
    chosen = np.random.default_rng(_SEED).integers(0, len(paired), (_RESAMPLES, len(paired)))
    low, high = np.percentile(paired[chosen].mean(axis=1), (2.5, 97.5))
    return Difference(float(paired.mean()), float(low), float(high))


def label(grades: Mapping[str, int], ranked: Sequence[str], known: Mapping[str, object]) -> Label:
    """Where the best relevant document is: the first ten, further down, nowhere; or `known` documents lack it."""
    relevant = {name for name, grade in grades.items() if grade > 0}
    if relevant.isdisjoint(known):
        return "missing knowledge"
    place = next((rank for rank, document in enumerate(ranked[:DEPTH]) if document in relevant), None)
    if place is None:
        return "not found"
    return "found" if place < _FIRST else "ranked too low"
