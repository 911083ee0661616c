"""The synthetic corpus that searches are timed on: clustered vectors and Zipf-distributed words, from one seed."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import quantiles

from retrieval.acl import Access
from retrieval.index import Bm25
from retrieval.sparse import Bm25Encoder
from retrieval.store import ChunkPoint, ChunkRef, HybridQuery

CHUNKS, DIMENSIONS, TOPICS = 50_000, 384, 200
LENGTH = 400


@dataclass(frozen=True, slots=True)
class SyntheticDocument:
    """`text` is its chunks' words, each padded to `LENGTH`."""

    id: str
    version: str
    access: Access
    text: str
    points: list[ChunkPoint]


class Synthetic:
    """Documents and questions; the same in every run that asks for the same ones in the same order."""

    def __init__(self) -> None:
        self._rng = random.Random(50_000)  # noqa: S311 - synthetic data
        self._bm25 = Bm25Encoder(Bm25(1.2, 0.75, 60.0, "english"))
        self._words = [f"term{n}" for n in range(4_000)]
        self._weights = [1 / (n + 1) for n in range(len(self._words))]
        self._topics = [self._gaussian(1.0) for _ in range(TOPICS)]

    def documents(self, number: int, chunks: int, access_of: Callable[[int], Access]) -> Iterator[SyntheticDocument]:
        """So many documents of so many chunks, the nth for those whom `access_of(n)` lets see it."""
        return (self.document(f"doc{n}", chunks, access_of(n)) for n in range(number))

    def document(self, name: str, chunks: int, access: Access) -> SyntheticDocument:
        """One document."""
        version = f"sha256:{name}"
        parts = [" ".join(self._rng.choices(self._words, self._weights, k=60)) for _ in range(chunks)]
        refs = [ChunkRef(name, version, n * LENGTH, (n + 1) * LENGTH, ("Heading",), None) for n in range(chunks)]
        made = zip(refs, parts, strict=True)
        points = [ChunkPoint(ref, access, None, None, self._vector(), self._bm25.document(part)) for ref, part in made]
        return SyntheticDocument(name, version, access, "".join(part.ljust(LENGTH)[:LENGTH] for part in parts), points)

    def query(self, limit: int) -> HybridQuery:
        """A question near some topic, of six words."""
        return HybridQuery(self._vector(), self._bm25.query(self.question()), limit)

    def question(self) -> str:
        """Six words."""
        return " ".join(self._rng.choices(self._words, self._weights, k=6))

    def groups(self, number: int) -> frozenset[str]:
        """An allow list of so many of twenty groups."""
        return frozenset(f"group:g{group}" for group in self._rng.sample(range(20), number))

    def _gaussian(self, spread: float) -> list[float]:
        return [self._rng.gauss(0.0, spread) for _ in range(DIMENSIONS)]

    def _vector(self) -> list[float]:
        topic = self._rng.choice(self._topics)
        return [a + b for a, b in zip(topic, self._gaussian(0.7), strict=True)]


def milliseconds(seconds: list[float], percent: int) -> float:
    """A percentile of measured times."""
    return 1_000 * quantiles(seconds, n=100)[percent - 1]
