"""Platt scaling: the logistic curve that turns a confidence into a probability, fitted by Newton's method."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.calibration import Logistic

_STEPS, _HALVINGS = 60, 40
_RIDGE, _STILL = 1e-9, 1e-10


@dataclass(frozen=True, slots=True)
class _Point:
    """What was measured, the probability that it should get, and how much it counts."""

    value: float
    target: float
    weight: float


def platt(answerable: Sequence[float], unanswerable: Sequence[float]) -> Logistic:
    """Fitted with Platt's targets, which keep what is cleanly separated finite; both kinds count the same in all.

    Where confidence does not rise with the truth the curve is flat at one half.
    """
    points = [*_points(answerable, 1.0), *_points(unanswerable, 0.0)]
    slope = intercept = 0.0
    for _ in range(_STEPS):
        rise, shift = _direction(points, slope, intercept)
        length = _length(points, slope, intercept, rise, shift)
        slope, intercept = slope + length * rise, intercept + length * shift
        if length * max(abs(rise), abs(shift)) < _STILL:
            break
    return Logistic(slope, intercept) if slope > 0 else Logistic(0.0, 0.0)


def _points(values: Sequence[float], truth: float) -> list[_Point]:
    target = (len(values) * truth + 1) / (len(values) + 2)
    return [_Point(value, target, 0.5 / len(values)) for value in values]


def _direction(points: Sequence[_Point], slope: float, intercept: float) -> tuple[float, float]:
    """Newton's step: the gradient through the inverse of the second derivatives."""
    curve = Logistic(slope, intercept)
    by_slope = by_shift = 0.0
    steep = flat = _RIDGE
    mixed = 0.0
    for one in points:
        probability = curve(one.value)
        error, spread = one.weight * (probability - one.target), one.weight * probability * (1 - probability)
        by_slope, by_shift = by_slope + error * one.value, by_shift + error
        steep, mixed, flat = steep + spread * one.value**2, mixed + spread * one.value, flat + spread
    scale = steep * flat - mixed * mixed
    return (mixed * by_shift - flat * by_slope) / scale, (mixed * by_slope - steep * by_shift) / scale


def _length(points: Sequence[_Point], slope: float, intercept: float, rise: float, shift: float) -> float:
    """The longest of 1, 1/2, 1/4, ... steps that makes nothing worse."""
    before, length = _loss(points, slope, intercept), 1.0
    for _ in range(_HALVINGS):
        if _loss(points, slope + length * rise, intercept + length * shift) <= before:
            return length
        length /= 2
    return 0.0


def _loss(points: Sequence[_Point], slope: float, intercept: float) -> float:
    total = 0.0
    for one in points:
        odds = slope * one.value + intercept
        total += one.weight * (max(0.0, odds) - one.target * odds + math.log1p(math.exp(-abs(odds))))
    return total
