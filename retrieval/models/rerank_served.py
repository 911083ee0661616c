"""Reranking by a vLLM server: it batches by itself, and is held to the model that the recipe pins."""

import math
import time
from collections.abc import Callable, Sequence

import msgspec

from retrieval.errors import RecipeError, RerankerUnavailable
from retrieval.index import Rerank
from retrieval.layout import PoolingServer
from retrieval.models.fingerprint import alike, fingerprint
from retrieval.models.vllm_pooling import PoolingClient, Trust

_SECONDS = 30.0  # whoever asks leaves earlier; an evaluation on a slow machine may not
_CERTAIN = 1e-7  # a share that is rounded to 0 or 1 is taken for so much less
_ASKED = "How many days after a purchase can I get my money back?"
# From what answers to what has nothing to do with it: what lies between is where models differ.
_SHOWN = (
    "Refunds are paid within 45 days of purchase, to the account that paid.",
    "You may return an item within two weeks; after that we give store credit only.",
    "A refund is paid to the account that paid, less the cost of the return.",
    "Our shops are open from Monday to Saturday, and closed on public holidays.",
    "The period for complaints about a delivery is eight days.",
    "How many days of annual leave do I get?",
    "Money is transferred back on the day after the request was granted.",
    "The pump needs oil every 200 hours of operation; the valve is checked once a year.",
    "Purchases above 500 euros need the approval of two people.",
    "The warranty covers faults for 24 months from the day of purchase.",
    "45",
    "Antibodies against the spike protein were measured in 42 patients.",
)


class _Score(msgspec.Struct, frozen=True):
    index: int
    relevance_score: float


class _Ranking(msgspec.Struct, frozen=True):
    model: str
    results: list[_Score]


class ServedReranker:
    """The server's model of the name `path`; `digest` is the fingerprint of its scores of fixed pairs.

    The fingerprint is looked at when this is opened, unless the server is away, then by the next who asks; and again
    once a minute of use and after every failure: of another model there are no scores.
    """

    def __init__(self, recipe: Rerank, server: PoolingServer, clock: Callable[[], float] = time.monotonic) -> None:
        if recipe.package:
            raise RecipeError("a served reranker has no package: set reranker.path to its name on the server")
        self._recipe = recipe
        self._reads = 0
        self._client = PoolingClient(server, RerankerUnavailable)
        self._trust = Trust(self._require_pinned, clock)
        try:
            self._client.wait(self._look_if_there())
        except RecipeError:
            self._client.close()
            raise

    async def rerank(
        self, question: str, texts: Sequence[str], *, scope: str = "", since: int | None = None
    ) -> list[float]:
        """Scores in the texts' order, in one request; whoever leaves ends it."""
        if not texts:
            return []
        try:
            return await self._client.join(self._trust.within(lambda: self._scores(question, texts)))
        except RecipeError as error:
            raise RerankerUnavailable(str(error)) from error

    def forget(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def _look_if_there(self) -> bool:
        """Finding goes on without a reranker, so one that is away keeps no version from being opened."""
        try:
            await self._trust.renew()
        except RerankerUnavailable:
            return False
        return True

    async def _require_pinned(self) -> None:
        """RecipeError when the server's model is another one than the recipe's."""
        model = await self._client.model(self._recipe.path, _SECONDS)
        if model.max_model_len is None:
            raise RecipeError(f"the server does not tell the length of {self._recipe.path!r}: it is no vLLM")
        self._reads = model.max_model_len
        found = fingerprint([_spread(await self._scores(_ASKED, _SHOWN))])
        if not self._recipe.digest or not alike(found, self._recipe.digest):
            raise RecipeError(
                f"the model {self._recipe.path!r} on the reranking server is {found}, but the recipe pins "
                f"{self._recipe.digest or 'none'}: serve the one that was pinned, or build a version with this digest"
            )

    async def _scores(self, question: str, texts: Sequence[str]) -> list[float]:
        asked = {
            "model": self._recipe.path,
            "query": question,
            "documents": list(texts),
            # As in this process: a long pair loses the end of its text, a very long question its own.
            "max_tokens_per_query": max(1, self._reads // 2),
            "max_tokens_per_doc": max(1, self._reads - 1),
            "truncate_prompt_tokens": -1,
        }
        answer = self._client.decode(await self._client.request("POST", "/rerank", asked, _SECONDS), _Ranking)
        scores = {one.index: one.relevance_score for one in answer.results}
        if (
            answer.model != self._recipe.path
            or len(answer.results) != len(texts)
            or scores.keys() != {*range(len(texts))}
        ):
            raise RerankerUnavailable(
                f"the reranking server scored {sorted(one.index for one in answer.results)} by {answer.model!r}, of "
                f"{len(texts)} texts by {self._recipe.path!r}"
            )
        return [scores[place] for place in range(len(texts))]


def _spread(scores: Sequence[float]) -> list[float]:
    """Around 0, and shares as the logits they were made of: those of good models are all nearly 0 or 1."""
    shares = all(0.0 <= score <= 1.0 for score in scores)
    told = [_logit(score) for score in scores] if shares else list(scores)
    return [one - sum(told) / len(told) for one in told]


def _logit(share: float) -> float:
    bounded = min(max(share, _CERTAIN), 1 - _CERTAIN)
    return math.log(bounded / (1 - bounded))
