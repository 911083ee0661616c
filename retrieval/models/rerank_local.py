"""Reranking in this process: a cross-encoder reads each pair of question and text, in batches off the event loop."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from retrieval.errors import RecipeError, RerankerUnavailable
from retrieval.index import Rerank
from retrieval.models.batching import Batcher
from retrieval.models.modelfolder import RERANKER, load_tokenizer, pinned_folder, read_json

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

_Pair: TypeAlias = tuple[str, str]
# What is begun for somebody who left is not of use to anybody, so not more than this is begun at once.
_BATCH, _BATCH_CHARACTERS = 8, 16_384
_LONGER_TEXT = {"text": {"truncation": "only_second"}}


class LocalReranker:
    """The recipe's own model, with the activation that its makers gave it; refused when its digest is another one."""

    def __init__(self, recipe: Rerank) -> None:
        import torch

        directory = pinned_folder(recipe, RERANKER)
        self._model, self._question_room = _load(directory)
        self._tokenizer = load_tokenizer(directory)
        self._cores = torch.get_num_threads()
        self._batcher: Batcher[_Pair, float] = Batcher(
            self._score,
            name="rerank",
            full=RerankerUnavailable,
            cost=lambda pair: len(pair[0]) + len(pair[1]),
            room=_BATCH_CHARACTERS,
            most=_BATCH,
        )

    async def rerank(
        self, question: str, texts: Sequence[str], *, scope: str = "", since: int | None = None
    ) -> list[float]:
        """Scores in the texts' order. Whoever leaves before the end takes along what was not begun."""
        scores = await self._batcher.submit_all([(question, text) for text in texts])
        if not all(map(math.isfinite, scores)):
            raise RerankerUnavailable("the reranking model gave a score that is no number")
        return scores

    def forget(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Let the thread go."""
        self._batcher.close()

    def _cut(self, question: str) -> str:
        """Up to half of what the model reads: of a pair that is too long it is the text that is cut off."""
        read = self._tokenizer.encode(question, add_special_tokens=False)
        if len(read) <= self._question_room:
            return question
        return question[: read.offsets[self._question_room - 1][1]]

    def _score(self, pairs: Sequence[_Pair]) -> list[float]:
        import torch

        torch.set_num_threads(self._cores)  # a thread begins with what another one may have set for itself just then
        read = [(self._cut(question), text) for question, text in pairs]
        scores = self._model.predict(read, batch_size=_BATCH, show_progress_bar=False, processing_kwargs=_LONGER_TEXT)
        return [float(score) for score in scores]


def _load(directory: Path) -> tuple["CrossEncoder", int]:
    """The model, and how many tokens a question may have; RecipeError when it is not one that scores pairs."""
    import torch
    from sentence_transformers import CrossEncoder
    from transformers.utils.logging import disable_progress_bar

    config = read_json(directory / "config.json")
    architectures = ", ".join(config.get("architectures") or ()) or "nothing"
    if not architectures.endswith("ForSequenceClassification"):  # the head would be made up of random numbers
        raise _unfit(directory, f"it is {architectures}")
    disable_progress_bar()
    try:
        model = CrossEncoder(
            str(directory),
            device="cpu",
            local_files_only=True,
            model_kwargs={"use_safetensors": True, "dtype": torch.float32},
        )
    except (OSError, ValueError, KeyError, ImportError, AttributeError, RuntimeError, TypeError) as error:
        why = "it needs code of its own, which is not run" if "auto_map" in config else str(error)
        raise RecipeError(f"the reranking model in {directory.name!r} cannot be loaded: {why}") from error
    if model.num_labels != 1 or len(model) != 1:
        raise _unfit(directory, f"it has {model.num_labels} labels and {len(model)} modules")
    if not model.max_seq_length:
        raise RecipeError(f"the model {directory.name!r} has no length: set model_max_length in tokenizer_config.json")
    return model, max(1, int(model.max_seq_length) // 2)


def _unfit(directory: Path, why: str) -> RecipeError:
    return RecipeError(
        f"the model {directory.name!r} does not score pairs ({why}): a reranker is a model for sequence "
        "classification with one label"
    )
