"""The generator's contract on the script, on the client against the stand-in server, and on a real vLLM."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from serving.errors import GenerationError
from serving.generator import GenerationRequest
from serving.replicas import ReplicatedGenerator
from serving.scripted import Script, ScriptedGenerator
from serving.scripted_server import Behaviour, scripted_app
from serving.vllm_client import Timeouts, VllmGenerator
from tests.conftest import RealEngine, free_port
from tests.contracts.generator import GeneratorContract, Subject

TIMEOUTS = Timeouts(connect=2, first_piece=60, between_pieces=30, total=120)


@asynccontextmanager
async def serve(behaviour: Behaviour) -> AsyncIterator[str]:
    runner = web.AppRunner(scripted_app(behaviour), handler_cancellation=True, access_log=None)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def running_by_metrics(url: str) -> Callable[[], Awaitable[int]]:
    async def running() -> int:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as response:
            found = re.findall(r"^vllm:num_requests_running(?:\{.*\})? (\S+)$", await response.text(), re.MULTILINE)
        assert found
        return int(sum(map(float, found)))

    return running


@asynccontextmanager
async def client_of(url: str, model: str) -> AsyncIterator[Subject]:
    generator = VllmGenerator(url, timeouts=TIMEOUTS, connections=8)
    down = VllmGenerator(f"http://127.0.0.1:{free_port()}", timeouts=TIMEOUTS, connections=8)
    try:
        yield Subject(generator, model, running_by_metrics(url), down)
    finally:
        await generator.close()
        await down.close()


def counting(request: GenerationRequest) -> Script:
    return Script(tuple(f"{number} " for number in range(1, 101)))


class TestScripted(GeneratorContract):
    @pytest.fixture
    async def subject(self) -> Subject:
        generator = ScriptedGenerator(counting, models=["scripted"], delay=0.001)
        down = ScriptedGenerator(counting)
        await down.close()

        async def running() -> int:
            return sum(exchange.running for exchange in generator.exchanges)

        return Subject(generator, "scripted", running, down)


class TestClientOnStandIn(GeneratorContract):
    @pytest.fixture
    async def subject(self) -> AsyncIterator[Subject]:
        behaviour = Behaviour("scripted", tokens=100, delay=0.02)
        async with serve(behaviour) as url, client_of(url, behaviour.model) as subject:
            yield subject


class Silent:
    """Nobody asks."""

    def opened(self, replica: str, served: str, error: GenerationError) -> None:
        return

    def closed(self, replica: str, served: str) -> None:
        return

    def forgotten(self, replica: str, served: str) -> None:
        return

    def retried(self, error: GenerationError) -> None:
        return


@asynccontextmanager
async def replicas_of(urls: list[str], behaviour: Behaviour) -> AsyncIterator[Subject]:
    def over(*urls: str) -> ReplicatedGenerator:
        clients = {url: VllmGenerator(url, timeouts=TIMEOUTS, connections=8) for url in urls}
        return ReplicatedGenerator(clients, most=8, heard=Silent())

    async def running() -> int:
        return sum([await running_by_metrics(url)() for url in urls])

    generator, down = over(*urls), over(f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}")
    try:
        yield Subject(generator, behaviour.model, running, down)
    finally:
        await generator.close()
        await down.close()


class TestReplicasOnStandIns(GeneratorContract):
    @pytest.fixture
    async def subject(self) -> AsyncIterator[Subject]:
        behaviour = Behaviour("scripted", tokens=100, delay=0.02)
        async with serve(behaviour) as one, serve(behaviour) as other, replicas_of([one, other], behaviour) as subject:
            yield subject


@pytest.mark.real_engine
class TestClientOnRealEngine(GeneratorContract):
    @pytest.fixture
    async def subject(self, real_engine: RealEngine) -> AsyncIterator[Subject]:
        async with client_of(real_engine.url, real_engine.model) as subject:
            yield subject
