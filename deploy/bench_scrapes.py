"""What it does to the slowest answers that a Prometheus reads the metrics each second."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deploy.bench_client import Caller
from deploy.bench_rounds import Figures, Subject, Taken, asked

_ROUNDS, _SECONDS, _CALLERS, _AT_ONCE = 4, 5.0, 4, 40
_SCRAPE = b"GET /metrics HTTP/1.1\r\nhost: bench\r\n\r\n"


async def measure_scrapes(subject: Subject) -> dict[str, Figures]:
    """With and without, in turns."""
    quiet, scraped = Taken(), Taken()
    for _ in range(_ROUNDS):
        await _for_a_while(subject, quiet)
        async with _scraping(subject.port):
            await _for_a_while(subject, scraped)
    rows: Figures = {
        "requests": len(quiet.each) + len(scraped.each),
        "unscraped, p99 ms": quiet.p99_ms,
        "scraped each second, p99 ms": scraped.p99_ms,
        "p99, scraped over unscraped (goal ≤ 1.15)": scraped.p99_ms / quiet.p99_ms,
    }
    return {f"{subject.name}, {_CALLERS} callers, while /metrics is read": rows}


async def _for_a_while(subject: Subject, taken: Taken) -> None:
    until = time.perf_counter() + _SECONDS
    while time.perf_counter() < until:
        await asked(subject, taken, _AT_ONCE, _CALLERS)


@asynccontextmanager
async def _scraping(port: int) -> AsyncIterator[None]:
    task = asyncio.create_task(_each_second(port))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _each_second(port: int) -> None:
    async with Caller(port) as caller:
        while True:
            await caller.ask(_SCRAPE)
            await asyncio.sleep(1.0)
