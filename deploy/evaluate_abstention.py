"""Whether confidence tells questions that a collection answers from others, at a threshold chosen elsewhere."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.beir import Beir, BeirError, BeirQuestion
from deploy.evaluate_corpus import PATIENCE, READER, opened_corpus
from deploy.settings import Settings
from retrieval.calibration import Calibration
from retrieval.catalog import Catalog
from retrieval.index import IndexRecipe
from retrieval.live import Progress
from retrieval.store import Narrowing

_CURVE = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, how confident finding was of what it found, and whether the collection answers it."""

    question: BeirQuestion
    confidence: float
    answerable: bool
    found: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Abstention:
    """All questions of a collection against one `threshold`, which none of them helped to choose."""

    asked: Sequence[Asked]
    threshold: float
    chosen: str

    def figures(self) -> dict[str, float | int | str]:
        """Area under the curve, and both error rates at the threshold."""
        yes, no = self._confidences(True), self._confidences(False)
        return {
            "answerable questions": len(yes),
            "unanswerable questions": len(no),
            "area under the curve": area(yes, no),
            "threshold": self.threshold,
            "threshold chosen on": self.chosen,
            **_rates(yes, no, self.threshold),
        }

    def curve(self) -> dict[str, str]:
        """Both error rates at other thresholds, to see what this one is worth; not to choose one."""
        yes, no = self._confidences(True), self._confidences(False)
        steps = [step / _CURVE for step in range(_CURVE + 1)]
        return {
            f"at {step:.2f}": " / ".join(f"{rate:.3f}" for rate in _rates(yes, no, step).values()) for step in steps
        }

    def rows(self) -> list[dict[str, Any]]:
        """A row for each question."""
        return [
            {
                "id": one.question.id,
                "question": one.question.text,
                "answerable": one.answerable,
                "confidence": one.confidence,
                "label": label(one, self.threshold),
                "found": list(one.found),
            }
            for one in self.asked
        ]

    def _confidences(self, answerable: bool) -> list[float]:
        return sorted(one.confidence for one in self.asked if one.answerable is answerable)


async def evaluate_abstention(
    beir: Beir, recipe: IndexRecipe, calibration: Calibration | None, progress: Progress, keep: Path | None = None
) -> Abstention:
    """Ask every question that the collection calls `answerable` or not, as the answer path would.

    Errors: BeirError when it does not tell both kinds.
    """
    told = [one for one in beir.questions.values() if isinstance(one.metadata.get("answerable"), bool)]
    if len({one.metadata["answerable"] for one in told}) < len((True, False)):
        raise BeirError(
            f"the questions of {beir.name!r} do not say in their metadata which are `answerable`, which not"
        )
    async with opened_corpus(beir.documents, recipe, progress, keep) as corpus:
        finder, asked = corpus.index.finder(recipe), []
        for number, one in enumerate(told):
            progress(number, len(told), "asking")
            findings = await finder.find(one.text, READER, Narrowing(), limit=recipe.passages, rerank_within=PATIENCE)
            found = tuple(corpus.names[held.passage.ref.document] for held in findings.passages)
            asked.append(Asked(one, findings.confidence, one.metadata["answerable"], found))
    if calibration is None:
        return Abstention(asked, recipe.abstain_below, "the recipe's own")
    return Abstention(asked, calibration.threshold, _told(calibration))


async def calibration_of(settings: Settings, index: str) -> Calibration | None:
    """What the version's build here was calibrated to; none where it is not built or not calibrated."""
    if isinstance(settings.catalog, Path) and not settings.catalog.exists():
        return None
    async with Catalog.open(settings.catalog) as catalog:
        manifest = await catalog.manifest(index)
    return manifest.calibration if manifest else None


def _told(calibration: Calibration) -> str:
    rule, digest = calibration.rule, calibration.questions.removeprefix("sha256:")[:12]
    wanted = "both errors alike" if rule.kind == "even" else f"false answers within {rule.false_answers:g}"
    asked = f"{calibration.answerable} answerable and {calibration.unanswerable} unanswerable samples"
    return f"{asked} of other questions ({digest}), {calibration.withheld} with their documents withheld; {wanted}"


def area(answerable: Sequence[float], unanswerable: Sequence[float]) -> float:
    """The share of pairs that confidence puts in the right order, equals counting half; both in ascending order."""
    ahead = sum(bisect_left(unanswerable, one) + bisect_right(unanswerable, one) for one in answerable)
    return ahead / (2 * len(answerable) * len(unanswerable))


def label(asked: Asked, threshold: float) -> str:
    """What an answer path with this threshold would do, and whether it should."""
    if asked.answerable:
        return "goes on" if asked.confidence >= threshold else "false abstention"
    return "false answer" if asked.confidence >= threshold else "abstains"


def _rates(answerable: Sequence[float], unanswerable: Sequence[float], threshold: float) -> dict[str, float]:
    return {
        "false answers: unanswerable, at or above": 1 - bisect_left(unanswerable, threshold) / len(unanswerable),
        "false abstentions: answerable, below": bisect_left(answerable, threshold) / len(answerable),
    }
