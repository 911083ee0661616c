"""Samples of questions with a known truth, and a calibration that is written down rather than fitted."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from retrieval.calibration import Calibration, Errors, Logistic, Point, Rule
from retrieval.fitting import Sample

AT = datetime(2026, 11, 21, tzinfo=UTC)


def drawn(
    count: int, *, high: float = 0.7, low: float = 0.4, spread: float = 0.1, category: str | None = None, seed: int = 0
) -> list[Sample]:
    """`count` questions, each once with its answer (about `high`) and once without (about `low`)."""
    rng = random.Random(seed)
    return [
        Sample(f"{category} {number}", min(1.0, max(0.0, rng.gauss(middle, spread))), category, answerable)
        for number in range(count)
        for middle, answerable in ((high, True), (low, False))
    ]


def calibration(
    index: str, threshold: float, categories: Mapping[str, float] | None = None, **fields: Any
) -> Calibration:
    """As if it had been fitted."""
    made = Calibration(
        index=index,
        questions="sha256:0",
        fitted=AT,
        rule=Rule(),
        threshold=threshold,
        categories=dict(categories or {}),
        probability=Logistic(10.0, -5.0),
        answerable=20,
        unanswerable=30,
        withheld=20,
        empty=1,
        auc=0.9,
        held_out=Errors(0.1, 0.2, 0.1),
        curve=tuple(Point(n / 100, 1 - n / 100, n / 100) for n in range(101)),
    )
    return msgspec.structs.replace(made, **fields)
