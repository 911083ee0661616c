"""The reranker's place in finding: a second opinion on the first candidates, given only while there is time."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from retrieval.embed import Embedder
from retrieval.errors import EmbedderUnavailable, RecipeError, RerankerUnavailable
from retrieval.index import Rerank
from retrieval.layout import PoolingServer
from retrieval.models.lending import Lending
from retrieval.models.rerank_local import LocalReranker

_Model: TypeAlias = tuple[str, str, str, str]


class Reranker(Protocol):
    """Scores how well each text answers a question."""

    async def rerank(
        self, question: str, texts: Sequence[str], *, scope: str = "", since: int | None = None
    ) -> list[float]:
        """One score per text, higher is better; comparable within one call only. Errors: RerankerUnavailable.

        `scope` and `since` are the embedder's, for a reranker that holds what it compares.
        """
        ...

    def forget(self) -> None:
        """Let go of what is held of texts that may come again: part of every erasure."""
        ...

    def close(self) -> None:
        """Let go of threads, weights and connections."""
        ...


class Rerankers:
    """Opens what recipes name; versions that name the same model hold it together, whatever they make of its scores.

    `server` gives the scores of recipes whose runtime is "vllm".
    """

    def __init__(self, server: PoolingServer | None = None) -> None:
        self._server = server
        self._lending: Lending[_Model, Reranker] = Lending()

    def open(self, recipe: Rerank, embedder: Embedder) -> Reranker:
        """The recipe's reranker, given back by `release`; whoever is first loads its model, which takes seconds.

        RecipeError when the model, or what is to run it, is not what the recipe says.
        """
        if recipe.kind == "late":
            return LateReranker(recipe, embedder)
        model = (recipe.runtime, recipe.package, recipe.path, recipe.digest)
        return self._lending.lend(model, lambda: _open_model(recipe, self._server))

    def release(self, reranker: Reranker) -> None:
        """The last who gives it back closes it."""
        self._lending.give_back(reranker)


class LateReranker:
    """Scores by the tokens of the recipe's own embedder, which stays its opener's to close and to make forget."""

    def __init__(self, recipe: Rerank, embedder: Embedder) -> None:
        if recipe.package or recipe.path or recipe.digest or recipe.runtime != "torch":
            raise RecipeError(
                "a reranker of the kind 'late' is the embedder itself: leave package, path, digest and runtime out, "
                "or set reranker.kind to cross-encoder"
            )
        if not embedder.compares:
            raise RecipeError(
                "the recipe's embedder gives no vectors of tokens, which a reranker of the kind 'late' compares: set "
                "embedder.runtime to torch or openvino, or reranker.kind to cross-encoder"
            )
        self._embedder = embedder

    async def rerank(
        self, question: str, texts: Sequence[str], *, scope: str = "", since: int | None = None
    ) -> list[float]:
        """How near each text has something to the question's tokens, on the average."""
        try:
            compared = await self._embedder.compare(question, texts, scope=scope, since=since)
        except EmbedderUnavailable as error:
            raise RerankerUnavailable(f"the embedder compares no tokens: {error}") from error
        return [one.mean for one in compared]

    def forget(self) -> None:
        """What is held the embedder holds."""

    def close(self) -> None:
        """Nothing is opened here."""


def _open_model(recipe: Rerank, server: PoolingServer | None) -> Reranker:
    if recipe.runtime != "vllm":
        return LocalReranker(recipe)
    if server is None:
        raise RecipeError(
            f"the recipe reranks by a vLLM server that has {recipe.path!r}: set TWINPIN_RERANKER_URL to its address"
        )
    from retrieval.models.rerank_served import ServedReranker

    return ServedReranker(recipe, server)
