"""SIGTERM under load: whoever is sent a request by somebody who looks at `/readyz` gets the whole of its answer."""

import asyncio
import contextlib
import multiprocessing
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from tests.gateway.house import REFUND_QUESTION
from tests.proofs import answerer

CALLERS, PAUSE, DRAIN = 8, 0.02, 2.0
ROUNDS_OF_CONTROL = 8
LOOKS_EVERY = 0.1  # as a balancer that asks for readiness does
FORK = multiprocessing.get_context("forkserver")


@dataclass(slots=True)
class Balancer:
    """Sends requests to the gateway while it says that it is ready."""

    session: aiohttp.ClientSession
    ready: bool = True
    whole: int = 0
    failed: list[str] = field(default_factory=list)

    async def look(self) -> None:
        """Until it is not."""
        while self.ready:
            try:
                async with self.session.get("/readyz") as response:
                    self.ready = response.status == 200
            except aiohttp.ClientError as error:
                self.failed.append(f"readyz: {error!r}")
                self.ready = False
            await asyncio.sleep(LOOKS_EVERY)

    async def ask(self, number: int) -> None:
        """One after another, by turns for a body and for a stream."""
        while self.ready:
            stream = bool(number % 2)
            try:
                async with self.session.post(
                    "/v1/answer", json={"question": REFUND_QUESTION, "stream": stream}
                ) as response:
                    body = await response.text()
                    if response.status == 200 and (not stream or body.endswith("event: done\ndata: {}\n\n")):
                        self.whole += 1
                    else:
                        self.failed.append(f"{response.status}: {body[-200:]}")
            except aiohttp.ClientError as error:
                self.failed.append(repr(error))
            number += 1


@asynccontextmanager
async def gateway(folder: Path, drain: float) -> AsyncIterator[tuple[Balancer, int]]:
    """A gateway process and what is in front of it."""
    here, there = FORK.Pipe()
    process = FORK.Process(target=answerer.serve, args=(folder, "best-effort", there, PAUSE, drain))
    process.start()
    try:
        port, key = await asyncio.to_thread(here.recv)
        headers = {"authorization": f"Bearer {key}"}
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as session:
            await _ready(session)
            yield Balancer(session), process.pid or 0
        await asyncio.to_thread(process.join, 30)
        assert process.exitcode == -signal.SIGTERM, "it ended by itself, when all was done"
    finally:
        process.kill()
        process.join()


async def _ready(session: aiohttp.ClientSession) -> None:
    """The socket listens before anybody accepts."""
    async with session.get("/readyz") as response:
        assert response.status == 200


async def drained(folder: Path, after: float, drain: float = DRAIN) -> Balancer:
    """What becomes of those who ask while a gateway is asked to end."""
    async with gateway(folder, drain) as (balancer, pid):
        asking = [asyncio.create_task(balancer.ask(number)) for number in range(CALLERS)]
        await asyncio.sleep(after)
        looking = asyncio.create_task(balancer.look())
        await asyncio.sleep(random.uniform(0, LOOKS_EVERY))
        os.kill(pid, signal.SIGTERM)
        await asyncio.wait([looking, *asking], timeout=30)
        for task in asking:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    return balancer


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--sigterm"))


@pytest.mark.enable_socket
async def test_no_request_fails_when_a_gateway_ends_under_load(tmp_path: Path, rounds: int) -> None:
    rng, whole = random.Random(5), 0
    for number in range(rounds):
        balancer = await drained(tmp_path / str(number), rng.uniform(0.3, 1.0))
        assert balancer.failed == []
        whole += balancer.whole
    assert whole >= rounds * CALLERS


@pytest.mark.enable_socket
async def test_without_the_drain_some_would_fail(tmp_path: Path) -> None:
    """The control: the same load, and a gateway that lets nobody in at once. Whether somebody asks then is chance."""
    for number in range(ROUNDS_OF_CONTROL):
        balancer = await drained(tmp_path / str(number), 0.5, drain=0.0)
        if balancer.failed:
            return
    pytest.fail("no request failed")
