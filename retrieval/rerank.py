"""The reranker's place in finding: a second opinion on the first candidates, given only while there is time."""

from collections.abc import Sequence
from typing import Protocol


class Reranker(Protocol):
    """Scores how well each text answers a question."""

    async def rerank(self, question: str, texts: Sequence[str]) -> list[float]:
        """One score per text, higher is better; comparable within one call only. Errors: RerankerUnavailable."""
        ...
