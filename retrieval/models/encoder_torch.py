"""Sentence-transformers in 32-bit floats: the reference that other runtimes are held to, and what they convert from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from retrieval.errors import RecipeError
from retrieval.models.encoder import Vectors
from retrieval.models.likeness import TokenVectors, unit_rows

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

_BATCH = 32
_SHORT = 512  # characters


class TorchEncoder:
    """The model as its makers run it."""

    def __init__(self, directory: Path) -> None:
        import torch

        self._model, self._max_tokens = load_model(directory)
        self._cores = torch.get_num_threads()

    @property
    def max_tokens(self) -> int:
        """Tokens that the model reads of a text, with special tokens."""
        return self._max_tokens

    def questions(self, texts: Sequence[str]) -> Vectors:
        """A question is too short to share among cores: waiting for a busy one costs a hundred times its work."""
        with self._one_core():
            return self._encode(texts)

    def passages(self, texts: Sequence[str]) -> Vectors:
        """The library sorts them by length, so larger lists waste less padding."""
        return self._encode(texts)

    def tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """A matrix (tokens, dimensions) for each text, without special tokens; short texts as questions are encoded."""
        if sum(map(len, texts)) > _SHORT:
            return token_vectors(self._model, texts)
        with self._one_core():
            return token_vectors(self._model, texts)

    @contextmanager
    def _one_core(self) -> Iterator[None]:
        import torch

        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(self._cores)  # it is what other threads start with, too

    def _encode(self, texts: Sequence[str]) -> Vectors:
        vectors = self._model.encode(
            list(texts), prompt="", batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False
        )
        return [[float(value) for value in vector] for vector in vectors]


def token_vectors(model: "SentenceTransformer", texts: Sequence[str]) -> list[TokenVectors]:
    """What the last module leaves of each token, of length one; neither special tokens nor padding have a row."""
    made = model.encode(
        list(texts),
        prompt="",
        batch_size=_BATCH,
        output_value=None,
        show_progress_bar=False,
        processing_kwargs={"text": {"return_special_tokens_mask": True}},
    )
    told = cast("list[dict[str, torch.Tensor]]", made)  # the library declares what it gives for one text
    return [unit_rows(one["token_embeddings"][one["special_tokens_mask"] == 0].float().numpy()) for one in told]


def load_model(directory: Path) -> tuple["SentenceTransformer", int]:
    """The model, and how many tokens it reads; the library takes seconds to import, so only who needs it pays for it.

    RecipeError when it cannot be loaded without code of its own, or does not say how much it reads.
    """
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    try:
        model = SentenceTransformer(str(directory), device="cpu", local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError, AttributeError, RuntimeError) as error:
        raise RecipeError(f"the embedding model in {directory.name!r} cannot be loaded: {error}") from error
    if not model.max_seq_length:
        raise RecipeError(f"the model {directory.name!r} has no max_seq_length: set it in sentence_bert_config.json")
    return model, int(model.max_seq_length)
