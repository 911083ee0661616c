"""A chunk that is longer than the embedder reads at once: embedded in parts, and found by what they say together."""

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from retrieval.embed import Embedder
from retrieval.ingest.blocks import Block
from retrieval.ingest.chunk import chunk


@dataclass(frozen=True, slots=True)
class Words:
    """A chunk's words with their context: all of them, and in the parts that are embedded."""

    text: str
    parts: Sequence[str]


def parts_of(text: str, most: int, count_tokens: Callable[[str], int]) -> list[str]:
    """A chunk's text in parts of up to `most` tokens, between sentences where it can be; whole where that is 0."""
    if not most or count_tokens(text) <= most:
        return [text]
    whole = (Block("paragraph", 0, len(text), (), None),)
    return [text[one.start : one.end] for one in chunk(text, whole, budget=most, count_tokens=count_tokens)]


def vectors_of(words: Sequence[Words], embedder: Embedder) -> Iterator[list[float]]:
    """The vector of each chunk: that of its only part, or the direction in which its parts point together."""
    embedded_parts = iter(embedder.embed([part for one in words for part in one.parts]))
    for one in words:
        vectors = [next(embedded_parts) for _ in one.parts]
        yield vectors[0] if len(vectors) == 1 else _mean(vectors, [len(part) for part in one.parts])


def _mean(vectors: Sequence[Sequence[float]], weights: Sequence[int]) -> list[float]:
    total = [sum(map(operator.mul, column, weights)) for column in zip(*vectors, strict=True)]
    norm = math.hypot(*total) or 1.0
    return [value / norm for value in total]
