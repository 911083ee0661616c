"""`make overload`: find the most that is answered, send five times that without waiting, and see what becomes of it.

Callers do not wait for each other: every request is sent at its time, whatever became of those before it, as users do.
Where there are two cores the gateway has the others, and those who ask and the scripted engine the last: neither is
late for the other.
"""

import asyncio
import itertools
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

from deploy.bench_client import Caller, post
from deploy.local import Stack, StackError
from deploy.results import write_result
from deploy.sampling import DOCUMENTS, SAMPLE, sample_keys
from deploy.settings import Settings
from loadtests.apart import apart

TIMES, SECONDS = 5.0, 60.0
_SLOTS, _QUEUE, _TOKENS, _PAUSE_MS = 8, 64, 64, 2.0
_GOOD_SECONDS = 5.0  # an answer that takes longer is nobody's any more
_LEVELS, _LEVEL_SECONDS = (8, 16, 32), 10.0
_SETTLING = 10.0  # seconds at the beginning of the flood: a limit that follows has to have seen it
_HALF, _CALM_SECONDS, _PATIENCE = 0.5, 3.0, 60.0
_OPEN = 4_096  # requests under way, at most; what is not sent for that is counted
GOODPUT = "goodput while flooded over peak (goal ≥ 0.9)"
REFUSALS = "refusals, p99 ms (goal ≤ 50)"
LATE = "sent later than it was due, p99 ms"
AMPLIFICATION = "requests to the engine over answers begun (goal ≤ 1.1)"
RECOVERY = "seconds until all was well again (goal ≤ 30; -1 for never)"
Sent = tuple[float, float, int]
"""When it was sent, how long it took, and its status; 0 where the connection broke."""


@dataclass(slots=True)
class Flood:
    """Requests to one port, each on a connection of its own, with what became of them."""

    port: int
    requests: Iterator[bytes]
    sent: list[Sent] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    unsent: int = 0

    async def one(self) -> None:
        """Send the next request and note how it ends."""
        began, status = time.perf_counter(), 0
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            async with Caller(self.port) as caller:
                status, _ = await caller.answer(next(self.requests))
        self.sent.append((began, time.perf_counter() - began, status))

    async def at_once(self, callers: int, seconds: float) -> None:
        """So many callers, each with its next request as soon as the last has ended."""
        until = time.perf_counter() + seconds

        async def asks() -> None:
            while time.perf_counter() < until:
                await self.one()

        await asyncio.gather(*(asks() for _ in range(callers)))

    async def open_loop(self, rate: float, seconds: float, rng: random.Random) -> None:
        """At random moments, `rate` a second on average, whether or not those before have ended."""
        started, due, running = time.perf_counter(), 0.0, set[asyncio.Task[None]]()
        while (due := due + rng.expovariate(rate)) < seconds:
            await asyncio.sleep(max(0.0, started + due - time.perf_counter()))
            if len(running) >= _OPEN:
                self.unsent += 1
                continue
            self.late.append(time.perf_counter() - started - due)
            task = asyncio.create_task(self.one())
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)


def good(sent: Sequence[Sent], since: float, until: float) -> float:
    """Answers a second that came in time, of those that were sent between the two moments."""
    came = sum(1 for began, took, status in sent if since <= began < until and status == 200 and took <= _GOOD_SECONDS)
    return came / (until - since)


async def measure(port: int, requests: Iterator[bytes]) -> dict[str, float | int]:
    """Peak, flood, and how soon all is well afterwards."""
    peak = 0.0
    for callers in _LEVELS:
        flood, began = Flood(port, requests), time.perf_counter()
        await flood.at_once(callers, _LEVEL_SECONDS)
        peak = max(peak, good(flood.sent, began + _LEVEL_SECONDS / 3, began + _LEVEL_SECONDS))
    before, flood, began = await _engine_counts(port), Flood(port, requests), time.perf_counter()
    await flood.open_loop(TIMES * peak, SECONDS, random.Random(5))  # noqa: S311 - a load, not a secret
    ended = time.perf_counter()
    under = good(flood.sent, began + _SETTLING, began + SECONDS)
    refused = [took for _, took, status in flood.sent if status in (429, 503)]
    other = [status for _, _, status in flood.sent if status not in (200, 429, 503)]
    after = await _engine_counts(port)
    asked, again = (now - then for now, then in zip(after, before, strict=True))
    calm = await recovery(port, requests, _HALF * peak)
    return {
        "peak, answers/s": peak,
        "sent while flooded, requests/s": len(flood.sent) / SECONDS,
        "due while flooded and not sent": flood.unsent,
        LATE: 1_000 * quantiles(flood.late, n=100)[98],
        GOODPUT: under / peak,
        "answered while flooded, p50 s": median(took for _, took, status in flood.sent if status == 200),
        "refused": len(refused),
        "refusals, p50 ms": 1_000 * median(refused) if refused else 0.0,
        "refusals, p90 ms": 1_000 * quantiles(refused, n=10)[8] if len(refused) > 1 else 0.0,
        REFUSALS: 1_000 * quantiles(refused, n=100)[98] if len(refused) > 1 else 0.0,
        "neither answered nor refused": len(other),
        AMPLIFICATION: 1 + again / max(1.0, asked),
        "seconds until the last of the flood had ended": ended - began - SECONDS,
        RECOVERY: calm,
    }


def missed(figures: Mapping[str, float | int]) -> list[str]:
    """The goals that were not met."""
    met = {
        GOODPUT: figures[GOODPUT] >= 0.9,
        REFUSALS: figures[REFUSALS] <= 50,
        AMPLIFICATION: figures[AMPLIFICATION] <= 1.1,
        RECOVERY: 0 <= figures[RECOVERY] <= 30,
        "due while flooded and not sent": figures["due while flooded and not sent"] == 0,
        "neither answered nor refused": figures["neither answered nor refused"] == 0,
    }
    return [name for name, held in met.items() if not held]


async def _engine_counts(port: int) -> tuple[float, float]:
    """Answers whose first word the gateway has heard so far, and requests that it sent to the engine again."""
    async with Caller(port) as caller:
        _, text = await caller.answer(b"GET /metrics HTTP/1.1\r\nhost: here\r\n\r\n")
    lines = [line.rpartition(" ") for line in text.decode().splitlines() if not line.startswith("#")]
    names = ("twinpin_first_token_seconds_count", "twinpin_engine_retries_total")
    heard, again = (sum(float(value) for key, _, value in lines if key.partition("{")[0] == name) for name in names)
    return heard, again


async def recovery(port: int, requests: Iterator[bytes], rate: float) -> float:
    """Seconds until every request of some seconds was answered in time, at half of what can be; -1 when never."""
    began, rng = time.perf_counter(), random.Random(6)  # noqa: S311 - likewise
    while (at := time.perf_counter()) - began < _PATIENCE:
        flood = Flood(port, requests)
        await flood.open_loop(rate, _CALM_SECONDS, rng)
        if all(status == 200 and took <= _GOOD_SECONDS for _, took, status in flood.sent):
            return at - began
    return -1.0


def main() -> int:
    """On a stack of its own, with a scripted engine that does `_SLOTS` answers at once and lets some wait."""
    settings, (own, others) = Settings(), _cores()
    load = os.getloadavg()[0]
    try:
        with tempfile.TemporaryDirectory() as folder, Stack(apart(settings, Path(folder))) as stack:
            stack.make_weights()
            limits = ("--slots", str(_SLOTS), "--queue", str(_QUEUE))
            stack.ingest(DOCUMENTS)
            with _on(own):
                stack.start_scripted_engine(_TOKENS, pause_ms=_PAUSE_MS, more=limits)
            with _on(others):
                stack.serve()
            with _on(own):
                figures = asyncio.run(measure(stack.settings.port, _questions(stack.settings)))
    except StackError as error:
        sys.stderr.write(f"twinpin: {error}\n")
        return 1
    engine = f"{_SLOTS} answers at once of {_TOKENS} tokens, {_PAUSE_MS:g} ms apart, {_QUEUE} waiting"
    cores = f"{len(others)} for the gateway" if others != own else "one, shared with the load"
    how = {"engine": engine, "cores": cores, "load of the machine before": load}
    section = f"{TIMES:g} times the peak for {SECONDS:g} s"
    path = write_result("overload", "make overload", {section: {**how, **figures}})
    sys.stdout.write("".join(f"{name}: {value}\n" for name, value in figures.items()) + f"recorded in {path}\n")
    goals = missed(figures)
    sys.stderr.write("".join(f"missed: {name}\n" for name in goals))
    return 1 if goals else 0


def _cores() -> tuple[set[int], set[int]]:
    """Those of the load with its engine, and those of the gateway; the same where there is one."""
    *others, last = sorted(os.sched_getaffinity(0))
    return {last}, set(others) or {last}


@contextmanager
def _on(cores: set[int]) -> Iterator[None]:
    """This process, and what it starts meanwhile, runs there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _questions(settings: Settings) -> Iterator[bytes]:
    """Golden questions that are answered: what is not to be generated would be no load."""
    rows = [json.loads(line) for line in (SAMPLE / "golden.jsonl").read_text("utf-8").splitlines()]
    keys = sample_keys(settings)
    bodies = [
        post("/v1/answer", {"question": row["question"]}, keys[row["caller"]]) for row in rows if row["answerable"]
    ]
    return itertools.cycle(bodies)


if __name__ == "__main__":
    sys.exit(main())
