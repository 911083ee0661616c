"""How much a passage looks like evidence for a question, whatever else the caller may see."""

from collections.abc import Callable, Sequence

from retrieval.embed import Embedder
from retrieval.errors import RecipeError
from retrieval.findings import Found
from retrieval.index import IndexRecipe
from retrieval.sparse import Bm25Encoder

# Comparing token by token costs, and what is evidence stands in front.
_COMPARED = 2


class Confidence:
    """Confidence under one index version; it never depends on other passages, so that one threshold serves everybody.

    RecipeError when the recipe has tokens compared and its embedder gives none.
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

    async def of(self, question: str, found: Sequence[Found], worded: Callable[[Found], str]) -> float:
        """That of the best of what was found, 0.0 where there is nothing; `worded` gives words with their context.

        EmbedderUnavailable when the recipe has the question's tokens compared and that cannot be done now.
        """
        if not self._weakest:
            return max((self._blended(question, one) for one in found), default=0.0)
        first = found[:_COMPARED]
        likenesses = await self._embedder.compare(question, [worded(one) for one in first]) if first else ()
        each = (
            (1 - self._weakest) * self._blended(question, one) + self._weakest * max(0.0, likeness.weakest)
            for one, likeness in zip(first, likenesses, strict=True)
        )
        return max(each, default=0.0)

    def _blended(self, question: str, found: Found) -> float:
        """A passage's cosine, blended with the share of the question's words that it has."""
        if not self._coverage:
            return found.cosine
        asked = set(self._sparse.query(question).indices)
        passage = found.passage
        words = " ".join((passage.title, *passage.ref.heading, passage.ref.header, passage.text))
        held = self._sparse.document(words).indices
        covered = len(asked.intersection(held)) / len(asked) if asked else 0.0
        return (1 - self._coverage) * found.cosine + self._coverage * covered
