"""Trained weights: how they are written, what they say of themselves, and the recipe that takes them."""

import json
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from deploy.beir import ALL
from deploy.training.plan import Plan
from deploy.training.sets import TrainingError
from retrieval.index import IndexRecipe
from retrieval.models.modelfolder import model_digest

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PAIRS = 12
_RECORD = "training.json"
# How texts are read stays as it was: the library would write down what it set for the last batch.
_READING = ("sentence_bert_config.json", "tokenizer.json", "tokenizer_config.json")


class TrainedOn(msgspec.Struct, frozen=True):
    """A training set: digests of its files by name, and how many of its questions took part."""

    name: str
    split: str
    questions: int
    files: dict[str, str]


class Training(msgspec.Struct, frozen=True):
    """What made the weights beside which it lies, whose digest is `digest`; `index` cut and found the passages.

    `loss` is the mean over the steps since the one before.
    """

    digest: str
    base: str
    base_digest: str
    index: str
    sets: list[TrainedOn]
    plan: Plan
    precision: str
    torch: str
    loss: dict[str, float]
    seconds: float

    @property
    def told(self) -> str:
        """The sets in a line."""
        return ", ".join(one.name if one.split == ALL else f"{one.name} {one.split}" for one in self.sets)

    def figures(self) -> dict[str, dict[str, Any]]:
        """All of it in sections, for the results."""
        fields = msgspec.structs.asdict(self)
        nested = {name: fields.pop(name) for name in ("sets", "plan", "loss")}
        return {
            "weights": fields,
            **{f"trained on {one.name}, {one.split}": {"questions": one.questions, **one.files} for one in self.sets},
            "hyperparameters": msgspec.to_builtins(nested["plan"]),
            "loss by step": nested["loss"],
        }


def write_weights(model: "SentenceTransformer", base: Path, models: Path, training: Training) -> tuple[Path, Training]:
    """A sentence-transformers folder `late-<8 of its digest>`, written beside and renamed; what is there stays.

    `training` lacks the digest, and comes back with it.
    """
    with tempfile.TemporaryDirectory(prefix=".making-", dir=models) as making:
        beside = Path(making) / "model"
        model.save_pretrained(str(beside), create_model_card=False)
        for name in _READING:
            if (base / name).is_file():
                shutil.copyfile(base / name, beside / name)
        made = msgspec.structs.replace(training, digest=model_digest(beside))
        (beside / _RECORD).write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
        folder = models / f"late-{made.digest.removeprefix('sha256:')[:8]}"
        try:
            beside.rename(folder)
        except OSError as error:
            if not folder.is_dir() or model_digest(folder) != made.digest:
                raise TrainingError(f"{folder.name!r} cannot be written beside others: {error.strerror}") from error
    return folder, made


def find_trained(models: Path) -> Path | None:
    """The folder of trained weights, where there is exactly one."""
    found = [path.parent for path in models.glob(f"late-*/{_RECORD}")]
    return found[0] if len(found) == 1 else None


def read_training(folder: Path) -> Training:
    """What made the weights of a folder. TrainingError when that cannot be read."""
    try:
        return msgspec.json.decode((folder / _RECORD).read_bytes(), type=Training)
    except (OSError, msgspec.DecodeError) as error:
        raise TrainingError(f"{_RECORD} of {folder.name!r} cannot be read: {error}") from error


def recipe_changes(stable: IndexRecipe, folder: Path, digest: str) -> list[str]:
    """What to set in a recipe so that trained weights embed and rerank; of another kind of reranker nothing stays."""
    fields = {
        "embedder.package": "",
        "embedder.path": str(folder),
        "embedder.digest": digest,
        "embedder.runtime": "openvino",
        "reranker.kind": "late",
        "reranker.pairs": str(PAIRS),
    }
    without = ["reranker=null"] if stable.reranker and stable.reranker.kind != "late" else []
    return without + [f"{name}={_yaml(value)}" for name, value in fields.items()]


def build_command(stable: str, changes: Sequence[str]) -> str:
    """The line that builds a version with these changes, for a shell."""
    options = [word for change in changes for word in ("--set", change)]
    return shlex.join(["twinpin", "index", "build", "--from", stable, *options])


def _yaml(text: str) -> str:
    """A text as a recipe's field takes it; quoted where YAML would read it as something else."""
    return text if str(yaml.safe_load(text)) == text else json.dumps(text)
