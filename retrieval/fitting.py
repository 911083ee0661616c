"""Fits a calibration to samples; pure, and the same for the same samples in any order.

Rates are measured in folds: a question never tests a threshold that it helped to choose.
"""

import hashlib
import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from retrieval.calibration import Calibration, Errors, Logistic, Point, Rule
from retrieval.errors import CalibrationError
from retrieval.platt import platt

LEAST = 10
"""Questions of either kind without which nothing is fitted."""
_CATEGORY_LEAST, _CATEGORY_PRIOR = 20, 40
_FOLDS, _CURVE, _GRID = 10, 100, 400
_DIGITS, _FINE = 4, 10_000
_SILVERMAN, _NARROWEST = 1.06, 1e-3
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Sample:
    """A question to which something was found: the confidence of that, the best passage's category, and the truth.

    A question may give two, one with the documents that answer it and one without: those share their `question`.
    """

    question: str
    confidence: float
    category: str | None
    answerable: bool


@dataclass(frozen=True, slots=True)
class _Fit:
    threshold: float
    categories: dict[str, float]
    probability: Logistic

    def passes(self, sample: Sample) -> bool:
        return sample.confidence >= self.categories.get(sample.category or "", self.threshold)


@dataclass(frozen=True, slots=True)
class _Kinds:
    """Confidences in ascending order: of what has an answer, and of what has none."""

    answerable: list[float]
    unanswerable: list[float]


_Group: TypeAlias = Sequence[Sample]


def fit(
    samples: Sequence[Sample], rule: Rule, *, index: str, at: datetime, withheld: int = 0, empty: int = 0
) -> Calibration:
    """Calibrate the index version named to these samples; what else is said of them is only noted.

    Errors: CalibrationError when questions of one kind are too few, or too few for the bound.
    """
    _require_enough(samples)
    whole, kinds = _fitted(samples, rule), _kinds(samples)
    return Calibration(
        index=index,
        questions=_digest(samples),
        fitted=at,
        rule=rule,
        threshold=whole.threshold,
        categories=whole.categories,
        probability=whole.probability,
        answerable=len(kinds.answerable),
        unanswerable=len(kinds.unanswerable),
        withheld=withheld,
        empty=empty,
        auc=round(_area(kinds), _DIGITS),
        held_out=_held_out(samples, rule),
        curve=tuple(_point(kinds, step / _CURVE) for step in range(_CURVE + 1)),
    )


def _require_enough(samples: _Group) -> None:
    for kind, wanted in (("answerable", True), ("unanswerable", False)):
        found = len({one.question for one in samples if one.answerable is wanted})
        if found < LEAST:
            raise CalibrationError(f"{found} {kind} questions found anything: give {LEAST} or more to calibrate on")


def _fitted(samples: _Group, rule: Rule) -> _Fit:
    kinds = _kinds(samples)
    threshold = _threshold(kinds, rule)
    return _Fit(threshold, dict(_categories(samples, rule, threshold)), platt(kinds.answerable, kinds.unanswerable))


def _categories(samples: _Group, rule: Rule, general: float) -> Iterator[tuple[str, float]]:
    """A category's own threshold, drawn towards the general one the less is known of it.

    Under a bound a category can only be stricter, or the bound would no longer hold for the whole.
    """
    for category in sorted({one.category for one in samples if one.category}):
        kinds = _kinds([one for one in samples if one.category == category])
        known = min(len(kinds.answerable), len(kinds.unanswerable))
        if known < _CATEGORY_LEAST or (rule.kind == "bound" and _spared(kinds, rule) < 0):
            continue
        drawn = general + (_threshold(kinds, rule) - general) * known / (known + _CATEGORY_PRIOR)
        yield category, round(max(drawn, general) if rule.kind == "bound" else drawn, _DIGITS)


def _threshold(kinds: _Kinds, rule: Rule) -> float:
    return _bounded(kinds, rule) if rule.kind == "bound" else _even(kinds)


def _even(kinds: _Kinds) -> float:
    """Where both errors together are least, each smoothed by a normal kernel of Silverman's width.

    The least of the raw counts would jump from one question to the next (docs/decisions/0010).
    """
    wide, narrow = _width(kinds.answerable), _width(kinds.unanswerable)

    def cost(threshold: float) -> float:
        lost = statistics.fmean(_below((threshold - one) / wide) for one in kinds.answerable)
        return lost + statistics.fmean(_below((one - threshold) / narrow) for one in kinds.unanswerable)

    return min((step / _GRID for step in range(_GRID + 1)), key=cost)


def _width(values: Sequence[float]) -> float:
    return max(_NARROWEST, _SILVERMAN * statistics.pstdev(values) * math.pow(len(values), -0.2))


def _below(deviations: float) -> float:
    """The standard normal distribution."""
    return math.erfc(-deviations / math.sqrt(2)) / 2


def _bounded(kinds: _Kinds, rule: Rule) -> float:
    """The lowest threshold that, were there one more unanswerable sample and it passed, would keep the bound."""
    spared, count = _spared(kinds, rule), len(kinds.unanswerable)
    if spared < 0:
        least = math.ceil(1 / rule.false_answers) - 1 if rule.false_answers else math.inf
        told = f"a bound of {rule.false_answers:g} on false answers takes {least} unanswerable samples in nine tenths"
        raise CalibrationError(f"{told} of the questions, and there are {count}: give more of them, or a higher bound")
    if spared >= count:
        return 0.0
    highest = kinds.unanswerable[count - 1 - spared]
    above = (math.floor(highest * _FINE) + 1) / _FINE
    if above > 1.0:
        raise CalibrationError("unanswerable questions are given full confidence: no threshold keeps them out")
    return max(0.0, above)


def _spared(kinds: _Kinds, rule: Rule) -> int:
    """How many unanswerable samples may pass, below 0 when they are too few to tell."""
    return math.floor(rule.false_answers * (len(kinds.unanswerable) + 1) + _ROUNDING) - 1


def _held_out(samples: _Group, rule: Rule) -> Errors:
    """All samples of a question are in one fold; each fold is tested by what was fitted to the others."""
    passed: list[tuple[Sample, bool, float]] = []
    for fold in _folds(samples):
        fitted = _fitted([one for one in samples if one.question not in fold], rule)
        tested = [one for one in samples if one.question in fold]
        passed += [(one, fitted.passes(one), fitted.probability(one.confidence)) for one in tested]
    yes, no = [one for one in passed if one[0].answerable], [one for one in passed if not one[0].answerable]
    squares = [statistics.fmean((one[0].answerable - one[2]) ** 2 for one in kind) for kind in (yes, no)]
    return Errors(
        false_answers=round(statistics.fmean(one[1] for one in no), _DIGITS),
        false_abstentions=round(statistics.fmean(not one[1] for one in yes), _DIGITS),
        brier=round(statistics.fmean(squares), _DIGITS),
    )


def _folds(samples: _Group) -> list[frozenset[str]]:
    """Drawn by digests, so that neither the order of questions nor what they are called decides."""
    asked = sorted({one.question for one in samples}, key=lambda one: hashlib.sha256(one.encode()).digest())
    return [frozenset(asked[start::_FOLDS]) for start in range(_FOLDS)]


def _kinds(samples: _Group) -> _Kinds:
    yes, no = (sorted(one.confidence for one in samples if one.answerable is wanted) for wanted in (True, False))
    return _Kinds(yes, no)


def _area(kinds: _Kinds) -> float:
    """Mann and Whitney's share of pairs in the right order, equals counting half."""
    no = kinds.unanswerable
    ahead = sum(bisect_left(no, one) + bisect_right(no, one) for one in kinds.answerable)
    return ahead / (2 * len(kinds.answerable) * len(no))


def _point(kinds: _Kinds, threshold: float) -> Point:
    lost = bisect_left(kinds.answerable, threshold) / len(kinds.answerable)
    passing = 1 - bisect_left(kinds.unanswerable, threshold) / len(kinds.unanswerable)
    return Point(threshold, round(passing, _DIGITS), round(lost, _DIGITS))


def _digest(samples: _Group) -> str:
    asked = sorted({(one.question, one.answerable) for one in samples})
    return f"sha256:{hashlib.sha256(repr(asked).encode()).hexdigest()}"
