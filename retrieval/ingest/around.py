"""What stands around a chunk helps to find it: its neighbours have a share in its vector and in its words' weights.

A chunk of a few sentences often leaves out what its neighbours say it is about. Whole documents are found better for
that, but are too long to be shown; so the small chunk is kept, and found as part of its surroundings.
"""

import math
import operator
from collections.abc import Iterator, Sequence

from retrieval.ingest.chunk import Chunk
from retrieval.store import SparseVector


def surroundings(chunks: Sequence[Chunk]) -> list[range]:
    """For each chunk the places of itself and of the one before and after it, if they stand under its heading."""
    return [
        range(
            place - (place > 0 and chunks[place - 1].heading == one.heading),
            place + 1 + (place + 1 < len(chunks) and chunks[place + 1].heading == one.heading),
        )
        for place, one in enumerate(chunks)
    ]


def with_surroundings(
    vectors: Sequence[list[float]], texts: Sequence[str], places: Sequence[range], share: float
) -> Iterator[list[float]]:
    """Each unit-length vector turned by `share` towards the mean of its surroundings, where longer texts weigh more."""
    for own, place in zip(vectors, places, strict=True):
        if len(place) == 1:
            yield own
        else:
            mean = _mean([vectors[n] for n in place], [len(texts[n]) for n in place])
            yield _mean([own, mean], [1 - share, share])


def blended(own: SparseVector, around: SparseVector, share: float) -> SparseVector:
    """The weights of a chunk's words, of which those of its surroundings make up `share`."""
    weights = {term: (1 - share) * weight for term, weight in zip(own.indices, own.values, strict=True)}
    for term, weight in zip(around.indices, around.values, strict=True):
        weights[term] = weights.get(term, 0.0) + share * weight
    return SparseVector(list(weights), list(weights.values()))


def _mean(vectors: Sequence[Sequence[float]], weights: Sequence[float]) -> list[float]:
    total = [sum(map(operator.mul, column, weights)) for column in zip(*vectors, strict=True)]
    norm = math.hypot(*total) or 1.0
    return [value / norm for value in total]
