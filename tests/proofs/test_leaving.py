"""Clients that leave at any moment: the engine is free at once, and nothing of theirs is left in the gateway."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

import pytest
import uvicorn
from aiohttp import web

from gateway.app import Outside, create_app, open_parts
from gateway.metrics import Metrics
from gateway.parts import Parts
from gateway.release import ModelVersion
from gateway.settings import Settings
from serving.manifest import ModelManifest
from serving.scripted_server import LOAD, Behaviour, Load, scripted_app
from serving.vllm_client import Timeouts, VllmGenerator
from tests.conftest import free_port
from tests.gateway.house import CORPUS, REFUND_QUESTION, House, make_house, pinned_manifest
from tests.gateway.test_live import until

TOKENS, PAUSE = 30, 0.003
LONGEST = 1.5 * TOKENS * PAUSE  # seconds: some leave when all is said
FREE_WITHIN = 1.0


@asynccontextmanager
async def engine() -> AsyncIterator[tuple[str, Load]]:
    """The stand-in for vLLM: its URL, and how many answers it is busy with."""
    app = scripted_app(Behaviour(pinned_manifest().served_name, tokens=TOKENS, delay=PAUSE))
    runner, port = web.AppRunner(app, access_log=None, handler_cancellation=True), free_port()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}", app[LOAD]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def gateway(house: House, url: str) -> AsyncIterator[int]:
    """The house behind a real server, with the real client of the engine; its port."""

    def reach() -> Outside:
        generator = VllmGenerator(url, timeouts=Timeouts(), connections=64)

        def open_model(manifest: ModelManifest) -> ModelVersion:
            return ModelVersion(manifest, generator, lambda text: len(text.split()))

        return Outside(house.reach(CORPUS).open_index, open_model, generator)

    @asynccontextmanager
    async def opened(settings: Settings, metrics: Metrics) -> AsyncIterator[Parts]:
        async with open_parts(settings, metrics, lambda *_: reach()) as parts:
            house.limits = parts.limits
            yield parts

    port = free_port()
    app = create_app(house.settings, opened)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, lifespan="on"))
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started or task.done())
        yield port
    finally:
        server.should_exit = True
        await task


async def leave(port: int, head: bytes, body: dict[str, Any], after: float) -> None:
    """Send a request, and close its connection after so many seconds."""
    content = json.dumps(body).encode()
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head + b"content-length: %d\r\n\r\n" % len(content) + content)
    await asyncio.sleep(after)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def idle_after(load: Load) -> float:
    """Seconds until the engine works for nobody."""
    began = time.perf_counter()
    await until(lambda: load.running == 0)
    return time.perf_counter() - began


def ways(house: House) -> Sequence[tuple[bytes, dict[str, Any]]]:
    """Both APIs, as JSON and as a stream."""
    head = "POST {} HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\nauthorization: Bearer {}\r\n"
    native, chat = (head.format(path, house.keys["ana"]).encode() for path in ("/v1/answer", "/v1/chat/completions"))
    said = {"model": "twinpin", "messages": [{"role": "user", "content": REFUND_QUESTION}]}
    return [
        *((native, {"question": REFUND_QUESTION, "stream": stream}) for stream in (False, True)),
        *((chat, {**said, "stream": stream}) for stream in (False, True)),
    ]


async def test_who_leaves_at_any_moment_leaves_nothing_behind(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    rng, idle = random.Random(41), []
    house = make_house(tmp_path, max_concurrency=8)
    async with engine() as (url, load), gateway(house, url) as port:
        asked = ways(house)
        await leave(port, *asked[0], LONGEST)  # what is opened once is open
        await idle_after(load)
        before = len(asyncio.all_tasks())
        for _ in range(request.config.getoption("--leave")):
            await leave(port, *rng.choice(asked), rng.uniform(0, LONGEST))
            idle.append(await idle_after(load))
        await until(lambda: house.limits.in_flight == 0 and len(asyncio.all_tasks()) <= before)
        levels = await house.limits.levels((house.limits.of_tenant("acme"),))
        assert [level.used for level in levels if level.measure == "concurrency"] == [0]
    assert quantiles(idle, n=100)[98] <= FREE_WITHIN
