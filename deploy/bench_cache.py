"""What an answer that is given again costs, next to a question of whether the gateway lives."""

import asyncio
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from itertools import islice, repeat
from pathlib import Path

from deploy.bench_client import Caller, get, post
from deploy.bench_documents import CALLER
from deploy.bench_rounds import Figures, Subject, in_turns
from deploy.bench_stack import PORT, Bench, running
from deploy.local import Stack, StackError
from deploy.settings import Settings

_ROUNDS, _REQUESTS, _TRIED = 8, 100, 20
_REDIS_SECONDS = 10.0


class NothingKept(Exception):
    """Whatever was asked again was made again, so that there is nothing to measure."""


def measure_cache(settings: Settings) -> dict[str, Figures]:
    """Milliseconds of a hit, of CPU and of the clock, beyond those of `GET /healthz`: both in turns, by one caller."""
    kept = {"TWINPIN_CACHE": "process"}
    with tempfile.TemporaryDirectory() as folder, running(settings, Path(folder), kept) as bench:
        figures = _measured(bench, "the process")
        if (program := shutil.which("redis-server")) is None:
            return figures | {"answer given again, kept in Redis": {"left out": "redis-server is not installed"}}
        shared = {
            "TWINPIN_CACHE": "redis",
            "TWINPIN_CACHE_SECRET": secrets.token_hex(),
            "TWINPIN_REDIS_URL": _start_redis(program, bench.stack, Path(folder)),
        }
        bench.serve(shared)
        figures |= _measured(bench, "Redis and in the process")
        bench.serve(shared | {"TWINPIN_CACHE_BYTES": "1"})  # as where another process has made it
        return figures | _measured(bench, "Redis alone")


def _measured(bench: Bench, where: str) -> dict[str, Figures]:
    key = bench.keys[CALLER]
    rows = asyncio.run(measure_hits(PORT, bench.stack.pid("gateway"), key, bench.questions))
    return {f"answer given again, kept in {where}, one caller": rows}


async def measure_hits(port: int, pid: int, key: str, questions: Iterator[str]) -> Figures:
    """Of the gateway at `port`, the process `pid`. Errors: NothingKept."""
    again = await _kept(port, key, questions)
    subjects = (
        Subject("health", port, pid, repeat(get("/healthz")).__next__),
        Subject("hit", port, pid, repeat(again).__next__),
    )
    taken = await in_turns(subjects, rounds=_ROUNDS, requests=_REQUESTS, callers=1)
    health, hit = taken["health"], taken["hit"]
    return {
        "health check, CPU ms": health.cpu_ms,
        "health check, p50 ms": health.p50_ms,
        "hit, CPU ms": hit.cpu_ms,
        "hit, p50 ms": hit.p50_ms,
        "hit, CPU ms beyond a health check": hit.cpu_ms - health.cpu_ms,
        "hit, p50 ms beyond a health check (goal ≤ 1)": hit.p50_ms - health.p50_ms,
        "others at work meanwhile (load of the machine)": os.getloadavg()[0],
    }


async def _kept(port: int, key: str, questions: Iterator[str]) -> bytes:
    """A question whose answer is given again: of one that failed its check none is kept."""
    async with Caller(port) as caller:
        for question in islice(questions, _TRIED):
            again = post("/v1/answer", {"question": question}, key)
            _, (_, body) = [await caller.answer(again) for _ in range(2)]
            if json.loads(body)["cache"] == "hit":
                return again
    raise NothingKept(f"of {_TRIED} answers none was given again: the benchmark is broken")


def _start_redis(program: str, stack: Stack, folder: Path) -> str:
    """Its URL, once it answers there."""
    socket, began = folder / "redis", time.monotonic()
    options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
    stack.start("redis", [program, *options], {})
    while not socket.exists():
        if time.monotonic() - began > _REDIS_SECONDS:
            raise StackError(f"Redis was not ready after {_REDIS_SECONDS:g} s: see {stack.settings.data / 'logs'}")
        time.sleep(0.05)
    return f"unix://{socket}"
