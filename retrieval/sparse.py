"""Text to BM25 term weights, with the tokenizer, stop words and stemmer that Qdrant's own `qdrant/bm25` uses."""

from qdrant_edge import Bm25, Bm25Config

from retrieval import index
from retrieval.errors import RecipeError
from retrieval.store import SparseVector


class Bm25Encoder:
    """Documents carry saturated term frequencies, queries carry ones; the store multiplies by its scoped IDF.

    RecipeError for a language that there are no stop words and no stemmer for.
    """

    def __init__(self, recipe: index.Bm25) -> None:
        self._k = recipe.k
        try:
            self._bm25 = Bm25(Bm25Config(k=recipe.k, b=recipe.b, avg_len=recipe.avg_len, language=recipe.language))
            self._lengthless = Bm25(Bm25Config(k=recipe.k, b=0.0, avg_len=1.0, language=recipe.language))
        except ValueError as error:
            raise RecipeError(f"bm25 of the recipe is not valid: {error}") from error

    def document(self, text: str) -> SparseVector:
        """Weights of a chunk's terms."""
        vector = self._bm25.embed_document(text)
        return SparseVector(list(vector.indices), list(vector.values))

    def query(self, text: str) -> SparseVector:
        """Terms of a question; empty when it holds stop words only."""
        vector = self._bm25.embed_query(text)
        return SparseVector(list(vector.indices), list(vector.values))

    def length(self, text: str) -> float:
        """Tokens of a chunk as BM25 counts them: what a recipe's `avg_len` should average.

        Without length normalisation (b = 0) a weight is f(k + 1) / (f + k), which gives the frequency f back.
        """
        k = self._k
        return sum(k * weight / (k + 1 - weight) for weight in self._lengthless.embed_document(text).values)
