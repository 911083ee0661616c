"""Text to vectors: the sentence-transformers model of a recipe, and a hashing stand-in for tests and benchmarks.

Queries are embedded off the event loop on one thread; those that arrive while it is busy go together in the next batch.
"""

import asyncio
import hashlib
import importlib.util
import math
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tokenizers import Tokenizer

from retrieval.errors import RecipeError
from retrieval.index import Embedding

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_DECIDING = ("config.json", "modules.json", "sentence_bert_config.json", "tokenizer.json", "1_Pooling/config.json")
_BATCH = 32
HASH = "hash"


class Embedder(Protocol):
    """Unit-length vectors of `dimensions` floats."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that the model reads, without special tokens: it ignores what comes after them."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` for this model, without special tokens."""
        ...

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed chunks, blocking; for ingestion."""
        ...

    async def embed_query(self, text: str) -> list[float]:
        """Embed one question without blocking the event loop."""
        ...

    def close(self) -> None:
        """Let go of threads and weights."""
        ...


def open_embedder(recipe: Embedding) -> Embedder:
    """The embedder a recipe names; the package "hash" is the stand-in without a model."""
    if recipe.package == HASH:
        return HashEmbedder(recipe.dimensions)
    return SentenceTransformerEmbedder(recipe)


def model_directory(recipe: Embedding) -> Path:
    """Where the package that ships the model keeps it; found without importing the package."""
    spec = importlib.util.find_spec(recipe.package)
    if spec is None or not spec.submodule_search_locations:
        raise RecipeError(f"the embedding model's package {recipe.package!r} is not installed")
    return Path(spec.submodule_search_locations[0]) / recipe.path


def model_digest(directory: Path) -> str:
    """`sha256:<hex>` over every file that decides a vector: weights, tokenizer, pooling, configuration."""
    digest = hashlib.sha256()
    for name in (*_DECIDING, *sorted(path.name for path in directory.glob("*.safetensors"))):
        content = (directory / name).read_bytes() if (directory / name).exists() else b""
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return f"sha256:{digest.hexdigest()}"


class SentenceTransformerEmbedder:
    """The recipe's own model, in process; refused when its files do not give the pinned digest."""

    def __init__(self, recipe: Embedding) -> None:
        directory = model_directory(recipe)
        found = model_digest(directory)
        if found != recipe.digest:
            raise RecipeError(f"embedding model {recipe.package!r} is {found}, but the recipe pins {recipe.digest}")
        self._model = _load(directory)
        self._tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._dimensions = recipe.dimensions
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embed", initializer=_use_one_core)
        self._waiting: list[tuple[str, asyncio.Future[list[float]]]] = []
        self._working: asyncio.Task[None] | None = None

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._dimensions

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that the model reads, without special tokens."""
        return int(self._model.max_seq_length) - self._tokenizer.num_special_tokens_to_add(is_pair=False)

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` for this model, without special tokens."""
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed chunks; the library sorts them by length, so larger lists waste less padding."""
        vectors = self._model.encode(list(texts), batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False)
        return [[float(value) for value in vector] for vector in vectors]

    async def embed_query(self, text: str) -> list[float]:
        """Embed a question in the next batch."""
        future: asyncio.Future[list[float]] = asyncio.get_running_loop().create_future()
        self._waiting.append((text, future))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await future

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False)

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            done, _ = await asyncio.wait([asyncio.create_task(self._embed_together([text for text, _ in batch]))])
            _settle([future for _, future in batch], done.pop())

    async def _embed_together(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.embed, texts)


def _settle(futures: list[asyncio.Future[list[float]]], job: asyncio.Task[list[list[float]]]) -> None:
    """Give every caller that still waits its vector, or what made the batch fail."""
    error = job.exception()
    for place, future in enumerate(futures):
        if future.done():
            continue
        if error is None:
            future.set_result(job.result()[place])
        else:
            future.set_exception(error)


class HashEmbedder:
    """A bag of hashed words: deterministic, instant, no model. Similar only where words are shared."""

    def __init__(self, dimensions: int = 64) -> None:
        self._dimensions = dimensions

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

    async def embed_query(self, text: str) -> list[float]:
        """Embed a question."""
        return self._vector(text)

    def close(self) -> None:
        """Nothing is held."""

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * self._dimensions
        for word in _words(text.lower()):
            place = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
            vector[place % self._dimensions] += 1.0 if place >> 63 else -1.0
        norm = math.hypot(*vector)
        return [value / norm for value in vector] if norm else [1.0] + [0.0] * (self._dimensions - 1)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)


def _use_one_core() -> None:
    """A question is too short to share among cores: waiting for a busy second one costs a hundred times its work."""
    import torch

    torch.set_num_threads(1)


def _load(directory: Path) -> "SentenceTransformer":
    """The library takes seconds to import, so only a process that embeds pays for it."""
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    return SentenceTransformer(str(directory), device="cpu", local_files_only=True)
