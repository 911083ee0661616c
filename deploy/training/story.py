"""Training from its sets to weights: embed and find, learn, write."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

import msgspec

from deploy.beir import Beir
from deploy.training.negatives import Example, examples_of
from deploy.training.plan import Plan, Turn, batches
from deploy.training.sets import TrainingSet
from deploy.training.trained import TrainedOn, Training, write_weights
from retrieval.embed import HASH
from retrieval.errors import RecipeError
from retrieval.index import Embedding, IndexRecipe
from retrieval.live import Progress
from retrieval.models.modelfolder import model_name, pinned_directory

_TOLD = 20  # steps
_JUDGED, _ARTICLES = 2, 1
"""Steps of a round: judged documents are of more subjects than a few articles."""


def train(
    stable: IndexRecipe, sets: Sequence[TrainingSet], plan: Plan, models: Path, progress: Progress
) -> tuple[Path, Training]:
    """Train the embedder of an index version; its folder in `models`, and what made it. Blocking, for minutes.

    Errors: RecipeError when the embedder has no weights here, TrainingError when a set teaches nothing.
    """
    base = weights_of(stable.embedder)
    started = time.monotonic()
    examples = [asyncio.run(examples_of(one, _faster(stable), progress)) for one in sets]
    from deploy.training.learning import VERSION, learn, precision
    from retrieval.models.encoder_torch import load_model

    models.mkdir(parents=True, exist_ok=True)  # what cannot be written is better known before
    model, _ = load_model(base)
    turns = [Turn(held, _steps(one)) for one, held in zip(sets, examples, strict=True)]
    loss = _followed(learn(model, stable.embedder, batches(turns, plan), plan), plan, progress)
    training = Training(
        digest="",
        base=stable.embedder.package or base.name,
        base_digest=stable.embedder.digest,
        index=stable.name,
        sets=[_trained_on(one, held) for one, held in zip(sets, examples, strict=True)],
        plan=plan,
        precision=str(precision()).removeprefix("torch."),
        torch=VERSION,
        loss=loss,
        seconds=round(time.monotonic() - started, 1),
    )
    return write_weights(model, base, models, training)


def weights_of(embedder: Embedding) -> Path:
    """The folder of an embedder that can be trained here; RecipeError for one without."""
    if embedder.package == HASH or embedder.runtime == "vllm":
        raise RecipeError(
            f"the stable version's embedder {model_name(embedder)} has no weights here to start from: pin a version "
            "whose embedder is in a package or a folder"
        )
    return pinned_directory(embedder)


def _faster(stable: IndexRecipe) -> IndexRecipe:
    """The version by the runtime that takes the least to embed whole collections, and gives the same vectors."""
    return msgspec.structs.replace(stable, embedder=msgspec.structs.replace(stable.embedder, runtime="openvino"))


def _steps(one: TrainingSet) -> int:
    return _JUDGED if isinstance(one.collection, Beir) else _ARTICLES


def _followed(losses: Iterable[float], plan: Plan, progress: Progress) -> dict[str, float]:
    """Mean losses by the step that they go up to."""
    told: dict[str, float] = {}
    since: list[float] = []
    for step, loss in enumerate(losses, 1):
        since.append(loss)
        progress(step, plan.steps, f"loss {fmean(since):.3f}")
        if step % _TOLD == 0 or step == plan.steps:
            told[str(step)] = round(fmean(since), 4)
            since.clear()
    return told


def _trained_on(one: TrainingSet, held: Sequence[Example]) -> TrainedOn:
    return TrainedOn(one.name, one.split, len(held), dict(one.files))
