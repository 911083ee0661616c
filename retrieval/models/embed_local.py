"""Embedding in this process: questions batched off the event loop, and nothing computed twice that is still held."""

from collections.abc import Sequence
from pathlib import Path

from retrieval.errors import EmbedderUnavailable, RecipeError
from retrieval.index import Embedding
from retrieval.models.batching import Batcher
from retrieval.models.comparing import Comparer
from retrieval.models.encoder import Encoder
from retrieval.models.likeness import Likeness
from retrieval.models.modelfolder import load_tokenizer, model_name, pinned_directory
from retrieval.models.room import VECTOR_BYTES, room_of
from retrieval.models.vectorcache import QuestionVectors, VectorCache

_BATCH, _BATCH_CHARACTERS = 32, 8_192


class LocalEmbedder:
    """The recipe's own model; refused when its files do not give the pinned digest.

    `together` is how many questions at most share a batch, `held` the bytes of vectors that it remembers.
    """

    def __init__(
        self, recipe: Embedding, converted: Path | None = None, held: int = VECTOR_BYTES, *, together: int = _BATCH
    ) -> None:
        directory = pinned_directory(recipe)
        self._encoder = _open_encoder(recipe, directory, converted)
        self._tokenizer = load_tokenizer(directory)
        self._recipe = recipe
        self._batcher: Batcher[str, list[float]] = Batcher(
            self._encode_questions,
            name="embed",
            full=EmbedderUnavailable,
            cost=len,
            room=_BATCH_CHARACTERS,
            most=together,
        )
        room = room_of(held)
        self._questions, self._passages = QuestionVectors(room.questions), VectorCache(room.passages)
        self._comparer = Comparer(self._encoder.tokens, room.tokens)

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._recipe.dimensions

    @property
    def max_tokens(self) -> int:
        """Tokens of a passage that the model reads, beside special tokens and the recipe's prefix."""
        special = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        return self._encoder.max_tokens - special - self.count_tokens(self._recipe.passage_prefix)

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` for this model, without special tokens."""
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed chunks; of larger lists more are of about one length, so that less goes into padding."""
        return self._passages.complete(texts, self._encode_passages)

    async def embed_query(self, text: str, *, scope: str = "") -> list[float]:
        """Embed a question in the next batch, or with whoever of that scope asks the same just now."""
        return await self._questions.get(text, scope, lambda: self._batcher.submit(text))

    @property
    def compares(self) -> bool:
        """Every model that runs here gives its tokens' vectors."""
        return True

    async def compare(
        self, question: str, passages: Sequence[str], *, scope: str = "", since: int | None = None
    ) -> list[Likeness]:
        """Each passage's likeness to the question by their tokens, those of the recipe's prefixes among them."""
        recipe = self._recipe
        return await self._comparer.compare(
            recipe.query_prefix + question,
            [recipe.passage_prefix + passage for passage in passages],
            scope=scope,
            since=since,
        )

    @property
    def age(self) -> int:
        """How often all was let go of; token vectors are let go of last."""
        return self._comparer.age

    def forget(self) -> None:
        """Hold no vector of what was embedded or compared any more."""
        self._questions.clear()
        self._passages.clear()
        self._comparer.forget()

    def close(self) -> None:
        """Let the threads go."""
        self._batcher.close()
        self._comparer.close()

    def _encode_questions(self, texts: Sequence[str]) -> list[list[float]]:
        return self._encoder.questions([self._recipe.query_prefix + text for text in texts])

    def _encode_passages(self, texts: Sequence[str]) -> list[list[float]]:
        return self._encoder.passages([self._recipe.passage_prefix + text for text in texts])


def _open_encoder(recipe: Embedding, directory: Path, converted: Path | None) -> Encoder:
    """RecipeError when the runtime cannot do what the recipe says, or when the vectors are not of its length."""
    encoder = _load_encoder(recipe, directory, converted)
    (vector,) = encoder.questions(["How long is a vector?"])
    if len(vector) != recipe.dimensions:
        raise RecipeError(
            f"embedding model {model_name(recipe)} makes vectors of {len(vector)} dimensions, and the recipe has "
            f"{recipe.dimensions}: set embedder.dimensions"
        )
    return encoder


def _load_encoder(recipe: Embedding, directory: Path, converted: Path | None) -> Encoder:
    if recipe.runtime == "openvino":
        from retrieval.models.conversion import converted_model
        from retrieval.models.encoder_openvino import OpenVinoEncoder

        return OpenVinoEncoder(converted_model(directory, recipe.digest, converted), recipe.precision)
    if recipe.precision != "f32":
        raise RecipeError(
            f"the runtime 'torch' embeds with f32 only, the recipe wants {recipe.precision!r}: "
            "set embedder.runtime to openvino"
        )
    from retrieval.models.encoder_torch import TorchEncoder

    return TorchEncoder(directory)
