"""Two scored legs into one order: pure, with ties broken by chunk id."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

import msgspec

from retrieval.index import Fusion

ChunkId = int  # 64 bits; engines handle integers several times faster than UUIDs
_CHUNK, _SCORE = itemgetter(0), itemgetter(1)


@dataclass(frozen=True, slots=True)
class Legs:
    """What a store scored for one query: (chunk, score) best first, and the cosine of every chunk in either leg."""

    dense: Sequence[tuple[ChunkId, float]]
    sparse: Sequence[tuple[ChunkId, float]]
    cosine: Mapping[ChunkId, float]


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A chunk with its score per leg (BM25 0.0 where only the dense leg found it) and the fused score."""

    chunk: ChunkId
    score: float
    cosine: float
    bm25: float


def ranked(scored: Iterable[tuple[ChunkId, float]]) -> list[tuple[ChunkId, float]]:
    """Best first, equals by id: an engine puts equals in the order in which they came to lie on its disk."""
    order = sorted(scored, key=_CHUNK)
    order.sort(key=_SCORE, reverse=True)  # leaves equals as they are
    return order


def fuse(legs: Legs, rule: Fusion) -> list[Candidate]:
    """Order the union of both legs, best first; what has no cosine vanished between the two legs, and is left out."""
    scores = _convex(legs, rule) if rule.kind == "convex" else _reciprocal_rank(legs, rule)
    bm25, cosine = dict(legs.sparse), legs.cosine
    return [
        Candidate(chunk, score, cosine[chunk], bm25.get(chunk, 0.0))
        for chunk, score in ranked(scores.items())
        if chunk in cosine
    ]


def carry(order: Sequence[Candidate], earlier: Sequence[Sequence[Candidate]]) -> list[Candidate]:
    """What earlier questions of a conversation found, newest last, among the candidates of the last one.

    It counts half as much with every turn, so that it comes in where the last question itself finds little. Cosine and
    BM25 stay those of the last question: 0.0 for what only earlier ones found.
    """
    if not any(earlier):
        return list(order)
    held = {one.chunk: one for one in order}
    for age, turn in enumerate(reversed(earlier), start=1):
        for one in turn:
            known = held.get(one.chunk) or Candidate(one.chunk, 0.0, 0.0, 0.0)
            held[one.chunk] = msgspec.structs.replace(known, score=max(known.score, one.score / 2**age))
    return _ordered(held.values())


def _ordered(candidates: Iterable[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda candidate: (-candidate.score, candidate.chunk))


def _convex(legs: Legs, rule: Fusion) -> dict[ChunkId, float]:
    """Dense scores are min-max scaled over the union, BM25 is divided by its maximum (its zero means something)."""
    if not legs.cosine:
        return {}
    low, high = min(legs.cosine.values()), max(legs.cosine.values())
    span = (high - low) or 1.0
    top = max((score for _, score in legs.sparse), default=0.0) or 1.0
    scores = {chunk: rule.dense * (cosine - low) / span for chunk, cosine in legs.cosine.items()}
    for chunk, score in legs.sparse:
        if chunk in scores:
            scores[chunk] += rule.sparse * score / top
    return scores


def _reciprocal_rank(legs: Legs, rule: Fusion) -> dict[ChunkId, float]:
    scores: dict[ChunkId, float] = {}
    for leg, weight in ((legs.dense, rule.dense), (legs.sparse, rule.sparse)):
        for rank, (chunk, _) in enumerate(leg, start=1):
            scores[chunk] = scores.get(chunk, 0.0) + weight / (rule.k + rank)
    return scores
