"""Embedding by a vLLM server: it batches by itself, and is held to the model that the recipe pins."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence

import msgspec

from retrieval.errors import EmbedderUnavailable, RecipeError
from retrieval.index import Embedding
from retrieval.layout import PoolingServer
from retrieval.models.fingerprint import PROBES, alike, fingerprint
from retrieval.models.likeness import Likeness
from retrieval.models.room import VECTOR_BYTES, room_of
from retrieval.models.textcache import TextCache
from retrieval.models.vectorcache import QuestionVectors, VectorCache
from retrieval.models.vllm_pooling import PoolingClient, Trust

_QUESTION_SECONDS, _PASSAGES_SECONDS, _LOOK_SECONDS = 5.0, 120.0, 30.0
_BATCH, _AT_ONCE = 64, 4
_PAUSES = (0.2, 1.0, 5.0)  # before passages are sent once more; nobody waits for them as for a question's answer
_COUNTS_HELD = 65_536


class _Vector(msgspec.Struct, frozen=True):
    index: int
    embedding: list[float]


class _Vectors(msgspec.Struct, frozen=True):
    model: str
    data: list[_Vector]


class _Tokens(msgspec.Struct, frozen=True):
    count: int


class ServedEmbedder:
    """The server's model of the name `path`; `digest` is the fingerprint of its vectors.

    The fingerprint is looked at when this is opened, and again once a minute of use and after every failure: a server
    that comes back with another model gives no vectors to an index that they do not fit.
    """

    def __init__(
        self,
        recipe: Embedding,
        server: PoolingServer,
        held: int = VECTOR_BYTES,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if recipe.package:
            raise RecipeError("a served embedding model has no package: set embedder.path to its name on the server")
        self._recipe = recipe
        self._client = PoolingClient(server, EmbedderUnavailable)
        self._trust = Trust(self._require_pinned, clock)
        room = room_of(held)
        self._questions, self._passages = QuestionVectors(room.questions), VectorCache(room.passages)
        self._counts: TextCache[int] = TextCache(_COUNTS_HELD, lambda _: 1)
        try:
            self._max_tokens = self._client.wait(self._introduced())
        except (EmbedderUnavailable, RecipeError):
            self._client.close()
            raise

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._recipe.dimensions

    @property
    def max_tokens(self) -> int:
        """Tokens of a passage that the model reads, beside special tokens and the recipe's prefix."""
        return self._max_tokens

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` for this model, without special tokens: asks the server, and blocks, for one not held."""
        age, held = self._counts.age, self._counts.get(text) if text else 0
        if held is not None:
            return held
        count = self._client.wait(self._tokens(text, special=False))
        self._counts.put(text, count, age)
        return count

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed chunks; several batches are under way at once, and one that fails is sent again a few times."""
        return self._passages.complete(texts, lambda missing: self._client.wait(self._embed_passages(missing)))

    async def embed_query(self, text: str, *, scope: str = "") -> list[float]:
        """Embed a question, or wait for the answer to whoever of that scope asks the same just now."""
        return await self._questions.get(text, scope, lambda: self._embed_question(text))

    @property
    def compares(self) -> bool:
        """An OpenAI-compatible endpoint for embeddings gives a vector a text, and none of its tokens."""
        return False

    async def compare(
        self, question: str, passages: Sequence[str], *, scope: str = "", since: int | None = None
    ) -> list[Likeness]:
        """EmbedderUnavailable always."""
        raise EmbedderUnavailable(
            f"the embedding server gives no token vectors of {self._recipe.path!r} to compare passages by: set "
            "embedder.runtime to torch or openvino"
        )

    @property
    def age(self) -> int:
        """How often all was let go of."""
        return self._questions.age

    def forget(self) -> None:
        """Hold no vector, and no count, of what was embedded any more."""
        self._questions.clear()
        self._passages.clear()
        self._counts.clear()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def _embed_question(self, text: str) -> list[float]:
        asked = self._recipe.query_prefix + text
        (vector,) = await self._client.join(self._trusted_vectors([asked], _QUESTION_SECONDS))
        return vector

    async def _embed_passages(self, texts: Sequence[str]) -> list[list[float]]:
        places = asyncio.Semaphore(_AT_ONCE)

        async def batch(start: int) -> list[list[float]]:
            async with places:
                part = [self._recipe.passage_prefix + text for text in texts[start : start + _BATCH]]
                return await self._patiently(part)

        jobs = [asyncio.ensure_future(batch(start)) for start in range(0, len(texts), _BATCH)]
        try:
            return [vector for part in await asyncio.gather(*jobs) for vector in part]
        finally:
            for job in jobs:
                job.cancel()

    async def _patiently(self, texts: Sequence[str]) -> list[list[float]]:
        for pause in _PAUSES:
            try:
                return await self._trusted_vectors(texts, _PASSAGES_SECONDS)
            except EmbedderUnavailable:
                await asyncio.sleep(pause)
        return await self._trusted_vectors(texts, _PASSAGES_SECONDS)

    async def _trusted_vectors(self, texts: Sequence[str], within: float) -> list[list[float]]:
        """Of the pinned model; a question does not wait for as long as a look at it may last beside passages."""
        try:
            return await self._trust.within(lambda: self._vectors(texts, within), patience=within)
        except TimeoutError as error:
            raise EmbedderUnavailable(f"the embedding server did not show its model in {within:g} s") from error

    async def _introduced(self) -> int:
        """Tokens of a passage that the model reads; errors as of `_require_pinned`."""
        model = await self._client.model(self._recipe.path, _QUESTION_SECONDS)
        await self._trust.renew()
        if model.max_model_len is None:
            raise RecipeError(f"the server does not tell the length of {self._recipe.path!r}: it is no vLLM")
        return model.max_model_len - await self._tokens(self._recipe.passage_prefix, special=True)

    async def _require_pinned(self) -> None:
        """RecipeError when the server's model is another one than the recipe's."""
        probes = [self._recipe.passage_prefix + probe for probe in PROBES]
        found = fingerprint(await self._vectors(probes, _LOOK_SECONDS))
        if not self._recipe.digest or not alike(found, self._recipe.digest):
            raise RecipeError(
                f"the model {self._recipe.path!r} on the embedding server is {found}, but the recipe pins "
                f"{self._recipe.digest or 'none'}: serve the one that was pinned, or build a version with this digest"
            )

    async def _vectors(self, texts: Sequence[str], within: float) -> list[list[float]]:
        asked = {
            "model": self._recipe.path,
            "input": list(texts),
            "encoding_format": "float",
            "truncate_prompt_tokens": -1,  # to what the model reads, as runtimes in this process do
        }
        answer = self._client.decode(await self._client.request("POST", "/v1/embeddings", asked, within), _Vectors)
        vectors = [one.embedding for one in sorted(answer.data, key=lambda one: one.index)]
        if answer.model != self._recipe.path or len(vectors) != len(texts):
            raise EmbedderUnavailable(
                f"the embedding server gave {len(vectors)} vectors of {answer.model!r} for {len(texts)} texts"
            )
        for vector in vectors:
            self._require_fit(vector)
        return vectors

    def _require_fit(self, vector: Sequence[float]) -> None:
        if len(vector) != self._recipe.dimensions:
            raise RecipeError(
                f"the embedding server gives vectors of {len(vector)} dimensions, and the recipe has "
                f"{self._recipe.dimensions}: set embedder.dimensions"
            )
        if not math.isclose(math.hypot(*vector), 1.0, abs_tol=0.01):
            raise RecipeError(
                f"the embedding server gives vectors of length {math.hypot(*vector):.3g}, and 1 is due: "
                "let it normalise them"
            )

    async def _tokens(self, text: str, *, special: bool) -> int:
        asked = {"model": self._recipe.path, "prompt": text, "add_special_tokens": special}
        answer = await self._client.request("POST", "/tokenize", asked, _QUESTION_SECONDS)
        return self._client.decode(answer, _Tokens).count
