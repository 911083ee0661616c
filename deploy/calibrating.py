"""Calibrates an index version: golden questions are asked with the documents that answer them, and without."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from deploy.evaluate_corpus import PATIENCE
from deploy.golden import GoldenQuestion, load_questions
from deploy.indexing import opened_index
from deploy.sampling import SAMPLE
from deploy.settings import Settings
from retrieval.acl import access_filter
from retrieval.calibration import Calibration, Rule
from retrieval.catalog import Catalog
from retrieval.errors import CalibrationError, IndexNotSealed
from retrieval.fitting import Sample, fit
from retrieval.index import IndexManifest
from retrieval.live import LiveIndex, Progress, silent
from retrieval.search import Finder
from retrieval.store import Narrowing
from retrieval.stores.withheld import Withheld


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of golden questions: a sample of each finding, how many had their documents withheld, how many none."""

    samples: list[Sample]
    withheld: int
    empty: int


def calibrating_questions(path: Path | None, split: str | None) -> list[GoldenQuestion]:
    """What to calibrate on: of the sample its dev half, as the other one tests.

    Errors: GoldenError, CalibrationError where there is no question.
    """
    held = load_questions(path or SAMPLE / "golden.jsonl")
    wanted = split if path else split or "dev"
    chosen = [one for one in held if wanted in (None, one.split)]
    if not held:
        raise CalibrationError(f"{path.name if path else 'the sample'!r} has no questions to calibrate on")
    if not chosen:
        there = ", ".join(sorted({one.split for one in held if one.split}))
        raise CalibrationError(f"no questions with the split {wanted!r}; there are {there or 'none with any'}")
    return chosen


async def calibrate_index(
    settings: Settings, name: str, golden: Sequence[GoldenQuestion], rule: Rule, progress: Progress = silent
) -> IndexManifest:
    """Fit a built version's threshold to golden questions, and keep it with the seal.

    Errors: CalibrationError for too few questions, IndexNotSealed, StoreLocked while a gateway has it open.
    """
    async with opened_index(settings, name) as index:
        asked = await ask(index, golden, progress)
        made = fit(asked.samples, rule, index=name, at=datetime.now(UTC), withheld=asked.withheld, empty=asked.empty)
        return await index.catalog.calibrate(made)


async def sealed_manifest(settings: Settings, name: str) -> IndexManifest:
    """The seal of a version; IndexNotSealed where it is not built."""
    async with Catalog.open(settings.catalog) as catalog:
        sealed = await catalog.manifest(name)
    if sealed is None:
        raise IndexNotSealed(f"index {name!r} is not built: run `twinpin index build {name}` first")
    return sealed


async def require_calibration(settings: Settings, name: str) -> Calibration:
    """What a version is calibrated with; CalibrationError where it is not."""
    found = (await sealed_manifest(settings, name)).calibration
    if found is None:
        raise CalibrationError(f"index {name!r} has no calibration: `twinpin index calibrate {name}` makes one")
    return found


async def ask(index: LiveIndex, golden: Sequence[GoldenQuestion], progress: Progress = silent) -> Asked:
    """Ask every question as its caller; one that is answerable once more, past all documents that answer it."""
    given, taken = [], []
    for number, one in enumerate(golden):
        progress(number, len(golden), one.question)
        given.append(await _sample(index, index.finder(), one, answerable=bool(one.documents)))
        if one.documents:
            taken.append(await _sample(index, await _without(index, one), one, answerable=False))
    samples = [one for one in (*given, *taken) if one is not None]
    withheld = len(taken) - taken.count(None)
    return Asked(samples, withheld, len(given) + len(taken) - len(samples))


async def _sample(index: LiveIndex, finder: Finder, asked: GoldenQuestion, *, answerable: bool) -> Sample | None:
    """Found as the gateway finds; none where there was nothing, as no threshold is asked then."""
    access = access_filter(asked.principal)
    findings = await finder.find(
        asked.question, access, Narrowing(), limit=index.recipe.passages, rerank_within=PATIENCE
    )
    if not findings.passages:
        return None
    return Sample(asked.question, findings.confidence, findings.category, answerable)


async def _without(index: LiveIndex, asked: GoldenQuestion) -> Finder:
    held = [await index.store.holds(asked.principal.tenant, document) for document in asked.documents]
    return index.finder(store=Withheld(index.store, frozenset(asked.documents), sum(held)))
