"""How much a passage looks like evidence for a question, whatever else the caller may see."""

from collections.abc import Callable, Sequence

from retrieval.embed import Embedder
from retrieval.errors import RecipeError
from retrieval.findings import Found
from retrieval.index import IndexRecipe
from retrieval.sparse import Bm25Encoder

# Comparing token by token costs, and of the passages that are shown two are near enough to decide.
_COMPARED = 2


class Confidence:
    """Confidence under one index version: of the passages that are shown that of the surest.

    A passage's depends on the question and its own words alone, so that one threshold serves everybody. RecipeError
    when the recipe has tokens compared and its embedder gives none.
    """

    def __init__(self, recipe: IndexRecipe, embedder: Embedder, sparse: Bm25Encoder) -> None:
        if recipe.abstain_weakest and not embedder.compares:
            raise RecipeError(
                f"index {recipe.name!r} has abstain_weakest, and its embedder gives no token vectors: set it to 0, or "
                "set embedder.runtime to torch or openvino"
            )
        self._weakest = recipe.abstain_weakest
        self._coverage = recipe.abstain_coverage
        self._embedder = embedder
        self._sparse = sparse

    async def of(
        self, question: str, shown: Sequence[Found], worded: Callable[[Found], str], *, scope: str, since: int
    ) -> tuple[float, Found | None]:
        """The highest confidence and the passage it is of, none where nothing is shown.

        `worded` gives a passage's words with their context. EmbedderUnavailable when tokens are to be compared and
        that cannot be done now.
        """
        asked = frozenset(self._sparse.query(question).indices) if self._coverage else frozenset()
        rated = sorted(((self._rated(asked, one), one) for one in shown), key=lambda pair: -pair[0])
        if self._weakest and rated:
            rated = rated[:_COMPARED]
            texts = [worded(one) for _, one in rated]
            likenesses = await self._embedder.compare(question, texts, scope=scope, since=since)
            rated = [
                ((1 - self._weakest) * first + self._weakest * max(0.0, likeness.weakest), one)
                for (first, one), likeness in zip(rated, likenesses, strict=True)
            ]
        return max(rated, key=lambda pair: pair[0], default=(0.0, None))

    def _rated(self, asked: frozenset[int], found: Found) -> float:
        """A passage's cosine, blended with the share of the question's words that it has."""
        if not self._coverage:
            return found.cosine
        passage = found.passage
        words = " ".join((passage.title, *passage.ref.heading, passage.ref.header, passage.text))
        covered = len(asked.intersection(self._sparse.document(words).indices)) / len(asked) if asked else 0.0
        return (1 - self._coverage) * found.cosine + self._coverage * covered
