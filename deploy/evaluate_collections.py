"""Finding and abstaining on the judged collections that are measured with every release, under the stable version."""

import asyncio
import tempfile
from collections.abc import ItemsView, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.beir import Beir, BeirQuestion, load_beir
from deploy.evaluate_abstention import calibration_of, evaluate_abstention
from deploy.evaluate_retrieval import CONFIGURATIONS, evaluate_retrieval
from deploy.evaluated import RERANKED
from deploy.measured import Measured
from deploy.pinboard import read_pinboard
from deploy.progress import RunProgress
from deploy.recipes import changed_recipe
from deploy.settings import Settings
from deploy.training.trained import find_trained, read_training, recipe_changes
from retrieval.index import IndexRecipe
from serving.generator import Message
from serving.rewrite import rewrite_by_rule

INFORMED_BY = "scifact train, covid_qa, a handbook's headings, the sample corpus"
"""What the stable version's parameters were chosen on; the figures of the rest were seen, and not chosen by."""
_HISTORY, _REWRITTEN = "history concatenated", "rewritten by the rule"


def measure_scifact(data: Path) -> Measured:
    """The split that fusion and reranking may be tuned on, and the one that only tests."""
    with tempfile.TemporaryDirectory() as keep:
        splits = [load_beir(data / "scifact", split) for split in ("train", "test")]
        rows = [row for split in splits for row in _found(split, Path(keep))]
        return Measured({}, configurations=rows + _found_trained(splits[-1], Path(keep)))


def measure_mtrag(data: Path) -> Measured:
    """The last turn of each conversation, all its turns in one question, and the question that the rule makes of it."""
    beir = load_beir(data / "mtrag_un", "test")
    with tempfile.TemporaryDirectory() as keep:
        rows = _found(beir, Path(keep))
        usual = [row["configuration"] for row in rows if row["default"]]
        for how, questions in ((_HISTORY, _concatenated(beir)), (_REWRITTEN, _rewritten(beir))):
            rows += _asked_as(how, _found(replace(beir, questions=questions), Path(keep), usual))
        rows += _found_trained(beir, Path(keep))
    return Measured({}, configurations=rows)


def measure_clapnq(data: Path) -> Measured:
    """Finding, and how well its confidence tells what these passages do not answer."""
    settings, beir = Settings(), load_beir(data / "clapnq_dev", "test")
    recipe = _stable(settings)
    with tempfile.TemporaryDirectory() as keep, RunProgress("evaluating") as progress:
        rows = _found(beir, Path(keep)) + _found_trained(beir, Path(keep))
        calibration = asyncio.run(calibration_of(settings, recipe.name))
        abstention = asyncio.run(evaluate_abstention(beir, recipe, calibration, progress, Path(keep)))
    figures: dict[str, dict[str, Any]] = {
        f"abstaining on {beir.name}": {**abstention.figures(), "index": recipe.name},
        f"abstaining on {beir.name}, false answers / false abstentions": abstention.curve(),
    }
    return Measured(figures, abstention.rows(), configurations=rows)


def _stable(settings: Settings) -> IndexRecipe:
    board = read_pinboard(settings.releases)
    return board.recipes[board.pins.index.stable]


def _found(beir: Beir, keep: Path, only: Sequence[str] = CONFIGURATIONS) -> list[dict[str, Any]]:
    return _rows(beir, _stable(Settings()), keep, only)


def _found_trained(beir: Beir, keep: Path) -> list[dict[str, Any]]:
    """By the weights that were trained here, where there is one folder of them and the stable version has others."""
    settings = Settings()
    folder = find_trained(settings.models)
    if folder is None:
        return []
    training, stable = read_training(folder), _stable(settings)
    recipe = changed_recipe(stable, recipe_changes(stable, folder, training.digest))
    if recipe == stable:
        return []
    informed = f"{INFORMED_BY}; weights trained on {training.told}"
    told = {"configuration": f"{RERANKED}, trained", "default": False, "informed_by": informed}
    return [{**row, **told} for row in _rows(beir, recipe, keep, [RERANKED])]


def _rows(beir: Beir, recipe: IndexRecipe, keep: Path, only: Sequence[str]) -> list[dict[str, Any]]:
    with RunProgress(f"evaluating {beir.name}, {beir.split}") as progress:
        evaluation = asyncio.run(evaluate_retrieval(beir, recipe, progress, only=only, keep=keep))
    pinned = _stable(Settings()).name
    return [{**row, "informed_by": INFORMED_BY} for row in evaluation.rows(pinned)]


def _asked_as(how: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of questions that were put otherwise: no default, and named by how."""
    return [{**row, "configuration": f"{row['configuration']}, {how}", "default": False} for row in rows]


def _concatenated(beir: Beir) -> dict[str, BeirQuestion]:
    """Each question after all that its conversation's user said before."""
    said = {name: [turn.content for turn in _history(one) if turn.role == "user"] for name, one in _questions(beir)}
    return {name: replace(one, text="\n".join([*said[name], one.text])) for name, one in _questions(beir)}


def _rewritten(beir: Beir) -> dict[str, BeirQuestion]:
    return {
        name: replace(one, text=rewrite_by_rule(one.text, _history(one)).question) for name, one in _questions(beir)
    }


def _questions(beir: Beir) -> ItemsView[str, BeirQuestion]:
    return beir.questions.items()


def _history(question: BeirQuestion) -> list[Message]:
    return [Message(turn["role"], turn["content"]) for turn in question.metadata.get("history", ())]
