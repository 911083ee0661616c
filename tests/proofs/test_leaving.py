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

from gateway.answers.engines import engine_of
from gateway.app import Outside, create_app, open_parts
from gateway.parts import Parts
from gateway.release import ModelVersion
from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics
from serving.manifest import ModelManifest
from serving.scripted_server import LOAD, Behaviour, Load, scripted_app
from tests.conftest import free_port
from tests.gateway.house import CORPUS, REFUND_QUESTION, House, make_house, pinned_manifest
from tests.gateway.test_live import until

TOKENS, PAUSE = 30, 0.003
LONGEST = 1.5 * TOKENS * PAUSE  # seconds: some leave when all is said
FREE_WITHIN, AT_ONCE = 1.0, 5


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
async def gateway(house: House) -> AsyncIterator[int]:
    """The house behind a real server, with the engine as the gateway itself reaches it; its port."""

    def reach(settings: Settings, metrics: Metrics) -> Outside:
        generator = engine_of(settings, metrics)

        def open_model(manifest: ModelManifest) -> ModelVersion:
            return ModelVersion(manifest, generator, lambda text: len(text.split()))

        return Outside(house.reach(CORPUS).open_index, open_model, generator)

    @asynccontextmanager
    async def opened(settings: Settings, metrics: Metrics) -> AsyncIterator[Parts]:
        async with open_parts(settings, metrics, reach) as parts:
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


def ways(house: House, question: str) -> Sequence[tuple[bytes, dict[str, Any]]]:
    """Both APIs, as JSON and as a stream."""
    head = "POST {} HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\nauthorization: Bearer {}\r\n"
    native, chat = (head.format(path, house.keys["ana"]).encode() for path in ("/v1/answer", "/v1/chat/completions"))
    said = {"model": "twinpin", "messages": [{"role": "user", "content": question}]}
    return [
        *((native, {"question": question, "stream": stream}) for stream in (False, True)),
        *((chat, {**said, "stream": stream}) for stream in (False, True)),
    ]


@pytest.mark.parametrize("cache", ["off", "process"])
async def test_who_leaves_at_any_moment_leaves_nothing_behind(
    tmp_path: Path, request: pytest.FixtureRequest, cache: str
) -> None:
    """Some at once: with the cache on, those who ask the same share what is generated, and it ends with the last."""
    rng, idle = random.Random(41), []
    async with engine() as (url, load):
        house = make_house(tmp_path, max_concurrency=2 * AT_ONCE, engine_url=url, cache=cache)
        async with gateway(house) as port:
            await leave(port, *ways(house, REFUND_QUESTION)[0], LONGEST)  # what is opened once is open
            await idle_after(load)
            before = len(asyncio.all_tasks())
            for turn in range(request.config.getoption("--leave") // AT_ONCE):
                asked = ways(house, f"{REFUND_QUESTION} I mean refund number {turn}.")
                leaving = (leave(port, *rng.choice(asked), rng.uniform(0, LONGEST)) for _ in range(AT_ONCE))
                await asyncio.gather(*leaving)
                idle.append(await idle_after(load))
            assert load.begun >= len(idle)
            await until(lambda: house.limits.in_flight == 0 and len(asyncio.all_tasks()) <= before)
            levels = await house.limits.levels((house.limits.of_tenant("acme"),))
            assert [level.used for level in levels if level.measure == "concurrency"] == [0]
    assert quantiles(idle, n=100)[98] <= FREE_WITHIN
