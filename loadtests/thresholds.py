"""Which thresholds a run broke."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from loadtests.plan import Thresholds

REFUSED = "refused"
LEAK = "leak"  # how the failure begins that no share of all requests may have


@dataclass(frozen=True, slots=True)
class Seen:
    """All requests of a kind: how many, how many failed, their seconds, and how many a second."""

    kind: str
    method: str
    requests: int
    failed: int
    p50: float
    p95: float
    p99: float
    rate: float

    def told(self) -> dict[str, Any]:
        """As a row of the report."""
        return asdict(self)


def broken(seen: Sequence[Seen], failures: Sequence[str], thresholds: Thresholds) -> list[str]:
    """A sentence each; a leak among the failures is one, and a kind that a threshold names and nobody asked for."""
    leaks = [one for one in failures if one.partition(": ")[2].startswith(LEAK)]
    return [*leaks, *_broken(seen, thresholds)]


def _broken(seen: Sequence[Seen], thresholds: Thresholds) -> Iterator[str]:
    asked = [one for one in seen if one.method != REFUSED]
    total = sum(one.requests for one in asked)
    if not total:
        yield "nothing was asked"
        return
    failed = sum(one.failed for one in asked) / total
    if failed > thresholds.failed:
        yield f"{failed:.2%} of all requests failed, {thresholds.failed:.2%} may"
    away = sum(one.requests for one in seen if one.method == REFUSED)
    refused = away / (total + away)
    if refused > thresholds.refused:
        yield f"{refused:.2%} of all requests were refused, {thresholds.refused:.2%} may be"
    by_kind = {one.kind: one for one in asked}
    for kind, most in thresholds.p95.items():
        if kind not in by_kind:
            yield f"{kind}: nobody asked"
        elif by_kind[kind].p95 > most:
            yield f"{kind}: 95 % took up to {by_kind[kind].p95:.3f} s, {most:g} s may be"
