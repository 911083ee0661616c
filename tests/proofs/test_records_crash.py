"""kill -9 in the middle of answering: no acknowledged answer is without its record, none has two, the chain holds."""

import asyncio
import json
import multiprocessing
import os
import random
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from gateway.settings import Settings
from retrieval.catalog import Catalog
from retrieval.records.book import Wanted
from retrieval.records.store import RecordStore, known_heads
from tests.gateway.house import REFUND_QUESTION
from tests.proofs import answerer
from tests.proofs.world import scratch

SHARES, CALLERS = 2, 6
LOOK_EVERY = 10  # kills: in between, what a process left is found by the next gateway
FORK = multiprocessing.get_context("forkserver")
_CUT_OFF = (aiohttp.ClientError, ConnectionError, asyncio.TimeoutError)


@dataclass(slots=True)
class Toll:
    """Answers that were acknowledged, requests that were cut off, and records that are missing."""

    acknowledged: list[str] = field(default_factory=list)
    cut_off: int = 0
    missing: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Callers:
    """Ask at once, by turns for a body and for a stream, until nobody answers any more."""

    url: str
    key: str
    toll: Toll
    stop_after: int
    _enough: asyncio.Event = field(default_factory=asyncio.Event)
    _heard: int = 0

    async def until_enough(self, rng: random.Random, pid: int) -> None:
        """Ask; when enough was acknowledged, and a little later, kill whoever answers."""
        headers = {"authorization": f"Bearer {self.key}"}
        async with aiohttp.ClientSession(self.url, headers=headers) as session:
            asking = [asyncio.create_task(self._ask(session, number)) for number in range(CALLERS)]
            if self.stop_after:
                async with asyncio.timeout(60):
                    await self._enough.wait()
            await asyncio.sleep(rng.uniform(0, 0.03))
            os.kill(pid, signal.SIGKILL)
            await asyncio.gather(*asking)

    async def _ask(self, session: aiohttp.ClientSession, number: int) -> None:
        stream = bool(number % 2)
        try:
            while True:
                body = {"question": REFUND_QUESTION, "stream": stream}
                async with session.post("/v1/answer", json=body) as response:
                    answer = acknowledged(await response.read(), stream=stream)
                    assert response.status == 200
                if answer is not None:
                    self.toll.acknowledged.append(answer)
                    self._heard += 1
                if self._heard >= self.stop_after:
                    self._enough.set()
        except _CUT_OFF:
            self.toll.cut_off += 1


def acknowledged(body: bytes, *, stream: bool) -> str | None:
    """The id of an answer that came whole: a body of JSON, or a stream with its verdict."""
    if not stream:
        whole: str = json.loads(body)["id"]
        return whole
    frames = body.decode().split("\n\n")
    named = dict(frame.split("\n", 1) for frame in frames if "\n" in frame)
    if "event: verdict" not in named:
        return None
    streamed: str = json.loads(named["event: sources"].removeprefix("data: "))["id"]
    return streamed


@contextmanager
def gateway(folder: Path, audit: str) -> Iterator[tuple[str, str, int]]:
    """Where it answers, a key for it, and its process."""
    heard, told = FORK.Pipe(duplex=False)
    process = FORK.Process(target=answerer.serve, args=(folder, audit, told))
    process.start()
    told.close()
    try:
        port, key = heard.recv()
        assert process.pid is not None
        yield f"http://127.0.0.1:{port}", key, process.pid
    finally:
        process.kill()
        process.join()


def trial(seed: int, kills: int, audit: str = "required") -> Toll:
    """Kills of gateways that have one data folder."""
    FORK.set_forkserver_preload([answerer.__name__])
    rng, toll = random.Random(seed), Toll()
    with scratch() as folder:
        for number in range(1, kills + 1):
            with gateway(folder, audit) as (url, key, pid):
                callers = Callers(url, key, toll, rng.choice([0, *range(1, 25)]))
                asyncio.run(callers.until_enough(rng, pid))
            if number % LOOK_EVERY == 0 or number == kills:
                asyncio.run(look(folder, toll))
    return toll


async def look(folder: Path, toll: Toll) -> None:
    """What is missing of what was acknowledged; nothing is there twice, and every digest is right."""
    settings = Settings(data=folder)
    async with (
        Catalog.open(settings.catalog) as catalog,
        RecordStore.open(catalog, settings, settings.record_spool_bytes) as store,
    ):
        await store.settle()
        assert store.spool.used == 0
        checker, fault = await store.book.verify(await known_heads(store))
        assert fault is None
        kept = [one.record for one in await store.book.listing(Wanted(limit=1_000_000))]
        ids = [one.id for one in kept]
        assert len(ids) == len(set(ids)) == checker.records
        toll.missing = set(toll.acknowledged) - set(ids)


def test_no_acknowledged_answer_is_without_its_record_and_none_has_two(pytestconfig: pytest.Config) -> None:
    kills = pytestconfig.getoption("--crash")
    with ProcessPoolExecutor(SHARES, multiprocessing.get_context("spawn")) as processes:
        tolls = list(processes.map(trial, range(SHARES), [-(-kills // SHARES)] * SHARES))
    for toll in tolls:
        assert toll.missing == set()
        assert len(set(toll.acknowledged)) == len(toll.acknowledged)
    assert sum(len(toll.acknowledged) for toll in tolls) > 3 * kills, "and after some work"
    assert sum(toll.cut_off for toll in tolls) >= kills, "most are killed in the middle of something"


def test_the_control_without_the_requirement_some_are_lost() -> None:
    for seed in range(20):
        if trial(seed, 3, "best-effort").missing:
            return
    pytest.fail("best effort lost nothing: what is looked for would not be found")
