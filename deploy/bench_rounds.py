"""Subjects that take turns, so that whatever else the machine does slows all of them alike."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import TypeAlias

from deploy.bench_client import all_answered
from deploy.bench_process import cpu_seconds

Figures: TypeAlias = dict[str, float | int | str]
_PAUSE = 0.2  # seconds until what was answered last counts as in flight no more


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that answers: at `port`, by the process `pid`; `next_request` gives what to ask it next."""

    name: str
    port: int
    pid: int
    next_request: Callable[[], bytes]


@dataclass(slots=True)
class Taken:
    """What all requests of a subject took, in seconds: of CPU, of the clock, and each by itself."""

    cpu: float = 0.0
    clock: float = 0.0
    each: list[float] = field(default_factory=list)

    @property
    def cpu_ms(self) -> float:
        """CPU of its processes per request."""
        return 1_000 * self.cpu / len(self.each)

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.each) / self.clock

    @property
    def p50_ms(self) -> float:
        """Half of all requests took no longer."""
        return 1_000 * median(self.each)

    @property
    def p99_ms(self) -> float:
        """All but a hundredth took no longer."""
        return 1_000 * quantiles(self.each, n=100)[98]


async def in_turns(subjects: Sequence[Subject], *, rounds: int, requests: int, callers: int) -> dict[str, Taken]:
    """By name: so many requests a round and subject, after a round that does not count."""
    taken = {one.name: Taken() for one in subjects}
    for number in range(rounds + 1):
        for one in subjects:
            await asked(one, taken[one.name] if number else Taken(), requests, callers)
            await asyncio.sleep(_PAUSE)
    return taken


async def asked(subject: Subject, taken: Taken, requests: int, callers: int) -> None:
    """Add what so many requests of a subject take."""
    wanted = [subject.next_request() for _ in range(requests)]
    began, started = cpu_seconds(subject.pid), time.perf_counter()
    taken.each += await all_answered(subject.port, wanted, callers)
    taken.clock += time.perf_counter() - started
    taken.cpu += cpu_seconds(subject.pid) - began
