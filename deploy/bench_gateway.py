"""The gateway on its whole answer path: what requests cost it, next to a LiteLLM proxy, and what scrapes do to it.

A scripted engine in a process of its own answers 64 tokens to whoever asks it. CPU and memory are the processes' own
accounts. Callers have keys, and every answer is counted and recorded.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.bench_client import post
from deploy.bench_documents import ALONE as ONE_DOCUMENT
from deploy.bench_litellm import KEY, MODEL, PORT, LiteLLMMissing, start_litellm
from deploy.bench_rounds import Figures, Subject, in_turns
from deploy.bench_scrapes import measure_scrapes
from deploy.bench_stack import TOKENS, Bench, running
from deploy.bench_versus import (
    ALONE,
    BARE,
    CORPUS,
    DIRECT,
    PROXY,
    measure_many_callers,
    measure_memory,
    measure_one_caller,
    measure_paced,
)
from deploy.settings import Settings

PAUSE_MS = 5.0
_CHAT = "/v1/chat/completions"
_STREAM = f"a stream of {TOKENS} tokens"
_PACED = f"{_STREAM}, {PAUSE_MS:g} ms apart"


def measure_gateway(settings: Settings) -> dict[str, Figures]:
    """Milliseconds of CPU and of wall time per request, and what they are of the proxy's."""
    with tempfile.TemporaryDirectory() as folder, running(settings, Path(folder)) as bench:
        figures = asyncio.run(_answers(bench))
        try:
            proxy = start_litellm(bench.stack, settings, bench.stack.manifest.served_name)
        except LiteLLMMissing as missing:
            proxy, figures[PROXY] = None, {"left out": str(missing)}
        figures |= asyncio.run(_next_to_others(bench, proxy))
        bench.stack.start_scripted_engine(TOKENS, pause_ms=PAUSE_MS)
        return figures | asyncio.run(measure_paced(_PACED, _subjects(bench, proxy, stream=True), TOKENS))


async def _answers(bench: Bench) -> dict[str, Figures]:
    """The gateway by itself, the ways to ask it in turns."""
    ways = (
        bench.gateway("search for 2 passages (finding alone)", "/v1/search", lambda said: {"query": said, "limit": 2}),
        bench.gateway(f"answer as JSON, {TOKENS} tokens", "/v1/answer", lambda said: {"question": said}),
        bench.gateway(
            f"answer as a stream, {TOKENS} tokens", "/v1/answer", lambda said: {"question": said, "stream": True}
        ),
    )
    taken = await in_turns(ways, rounds=8, requests=25, callers=1)
    return {
        f"gateway over 10,000 chunks, {name}": {"CPU ms per request": one.cpu_ms, "wall p50 ms": one.p50_ms}
        for name, one in taken.items()
    }


async def _next_to_others(bench: Bench, proxy: int | None) -> dict[str, Figures]:
    json, streams = _subjects(bench, proxy, stream=False), _subjects(bench, proxy, stream=True)
    figures: dict[str, Figures] = {}
    for kind, subjects in (("JSON", json), (_STREAM, streams)):
        figures |= await measure_one_caller(kind, subjects)
        figures |= await measure_many_callers(kind, subjects)
    corpus = next(one for one in json if one.name == CORPUS)
    return figures | measure_memory(json) | await measure_scrapes(corpus)


def _subjects(bench: Bench, proxy: int | None, *, stream: bool) -> Sequence[Subject]:
    def body(said: str) -> dict[str, Any]:
        return {"model": MODEL, "messages": [{"role": "user", "content": said}], "stream": stream}

    def without_documents(said: str) -> dict[str, Any]:
        return {**body(said), "retrieval": "none"}

    direct = bench.engine(DIRECT, body)
    ours = (
        bench.gateway(BARE, _CHAT, without_documents),
        bench.gateway(ALONE, _CHAT, body, caller=ONE_DOCUMENT),
        bench.gateway(CORPUS, _CHAT, body),
    )
    if proxy is None:
        return direct, *ours
    passed = Subject(PROXY, PORT, proxy, lambda: post(_CHAT, body(next(bench.questions)), KEY))
    return direct, passed, *ours
