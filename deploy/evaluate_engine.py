"""The engine as evaluations ask it: patiently, some requests at once."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from deploy.settings import Settings
from serving.errors import EngineUnavailable
from serving.vllm_client import Timeouts, VllmGenerator

AT_ONCE = 4
_PATIENCE, _PAUSE = 600.0, 1.0


@asynccontextmanager
async def asked_engine(settings: Settings, model: str, seconds: float) -> AsyncGenerator[VllmGenerator]:
    """Where the stack's engine listens, once it serves this model; one answer may take so many seconds.

    Errors: EngineUnavailable when it does not in ten minutes.
    """
    timeouts = Timeouts(first_piece=seconds, between_pieces=seconds)
    generator = VllmGenerator(f"http://127.0.0.1:{settings.engine_port}", timeouts=timeouts, connections=AT_ONCE)
    try:
        await _until_it_answers(generator, model)
        yield generator
    finally:
        await generator.close()


async def _until_it_answers(generator: VllmGenerator, model: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return await generator.check(model)
        except EngineUnavailable:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(_PAUSE)
