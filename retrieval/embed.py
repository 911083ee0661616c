"""Text to vectors: the embedder that a recipe names, shared by the index versions that name the same one."""

import asyncio
import hashlib
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from retrieval.errors import RecipeError
from retrieval.index import Embedding
from retrieval.layout import PoolingServer
from retrieval.models.embed_local import LocalEmbedder
from retrieval.models.lending import Lending
from retrieval.models.likeness import Likeness, likeness
from retrieval.models.room import VECTOR_BYTES

HASH = "hash"


class Embedder(Protocol):
    """Unit-length vectors of `dimensions` floats. EmbedderUnavailable when it gives none, and may later."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that the model reads, without special tokens: it ignores what comes after them."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` for this model, without special tokens; may block for the answer of a server."""
        ...

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed chunks, blocking; for ingestion."""
        ...

    async def embed_query(self, text: str, *, scope: str = "") -> list[float]:
        """Embed one question without blocking the event loop.

        Its vector is held, or waited for, for those of the same `scope` only: how long it takes tells nobody else
        that it was asked.
        """
        ...

    @property
    def compares(self) -> bool:
        """Whether there are vectors of tokens to compare by."""
        ...

    async def compare(
        self, question: str, passages: Sequence[str], *, scope: str = "", since: int | None = None
    ) -> list[Likeness]:
        """How near each passage's tokens are to the question's, off the event loop.

        The question's token vectors are held for those of the same `scope` only, those of passages for all: ask with
        passages that the asker may read. What was let go of after `since`, the `age` when the words were read, is
        compared and not held.
        """
        ...

    @property
    def age(self) -> int:
        """How often all was let go of: what was read before one more is held no longer."""
        ...

    def forget(self) -> None:
        """Let go of vectors that are held for texts that may come again: part of every erasure."""
        ...

    def close(self) -> None:
        """Let go of threads and weights."""
        ...


class Embedders:
    """Opens what recipes name; versions that name the same embedder hold one together, with what it remembers.

    `converted` is a folder for models that their runtime takes in another form, `server` gives the vectors of recipes
    whose runtime is "vllm"; each embedder remembers `held` bytes of vectors.
    """

    def __init__(
        self, converted: Path | None = None, server: PoolingServer | None = None, held: int = VECTOR_BYTES
    ) -> None:
        self._converted = converted
        self._server = server
        self._bytes = held
        self._lending: Lending[Embedding, Embedder] = Lending()

    def open(self, recipe: Embedding) -> Embedder:
        """The recipe's embedder, loaded by whoever is first, which takes seconds; given back by `release`."""
        return self._lending.lend(recipe, lambda: open_embedder(recipe, self._converted, self._server, self._bytes))

    def release(self, embedder: Embedder) -> None:
        """The last who gives it back closes it; one that was not opened here is closed at once."""
        self._lending.give_back(embedder)


def open_embedder(
    recipe: Embedding, converted: Path | None = None, server: PoolingServer | None = None, held: int = VECTOR_BYTES
) -> Embedder:
    """The embedder a recipe names, for one holder; the package "hash" is the stand-in without a model.

    RecipeError when the model, or what is to run it, is not what the recipe says.
    """
    if recipe.package == HASH:
        return HashEmbedder(recipe.dimensions)
    if recipe.runtime != "vllm":
        return LocalEmbedder(recipe, converted, held)
    if server is None:
        raise RecipeError(
            f"the recipe embeds by a vLLM server that has {recipe.path!r}: set TWINPIN_EMBEDDING_URL to its address"
        )
    from retrieval.models.embed_served import ServedEmbedder

    return ServedEmbedder(recipe, server, held)


class HashEmbedder:
    """A bag of hashed words: deterministic, instant, no model. Similar only where words are shared."""

    def __init__(self, dimensions: int = 64) -> None:
        self._dimensions = dimensions
        self._age = 0

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._dimensions

    @property
    def max_tokens(self) -> int:
        """A bag of words has no end."""
        return sys.maxsize

    def count_tokens(self, text: str) -> int:
        """Words and punctuation marks."""
        return len(_words(text))

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed texts."""
        return [self._vector(text) for text in texts]

    async def embed_query(self, text: str, *, scope: str = "") -> list[float]:
        """Embed a question."""
        return self._vector(text)

    @property
    def compares(self) -> bool:
        """By the vectors of single words."""
        return True

    async def compare(
        self, question: str, passages: Sequence[str], *, scope: str = "", since: int | None = None
    ) -> list[Likeness]:
        """Compare word by word; two words are alike where they are the same, or by chance."""
        return await asyncio.to_thread(self._compare, question, passages)

    @property
    def age(self) -> int:
        """How often it was told to forget."""
        return self._age

    def forget(self) -> None:
        """Nothing is held; count."""
        self._age += 1

    def close(self) -> None:
        """Nothing is held."""

    def _compare(self, question: str, passages: Sequence[str]) -> list[Likeness]:
        asked = self._words(question)
        return [likeness(asked, self._words(passage)) for passage in passages]

    def _words(self, text: str) -> list[list[float]]:
        return [self._vector(word) for word in _words(text)]

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * self._dimensions
        for word in _words(text.lower()):
            place = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
            vector[place % self._dimensions] += 1.0 if place >> 63 else -1.0
        norm = math.hypot(*vector)
        return [value / norm for value in vector] if norm else [1.0] + [0.0] * (self._dimensions - 1)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)
