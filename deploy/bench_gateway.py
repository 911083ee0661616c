"""The gateway's CPU per request on the whole answer path, against a scripted engine in a process of its own.

CPU is the process's own accounting (`/proc/<pid>/stat`). Embedding is a hash, so that what is left is the gateway.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import msgspec
import yaml

from deploy.client import Gateway
from deploy.local import Stack
from deploy.pinboard import read_pinboard
from deploy.sampling import DOCUMENTS, sample_keys
from deploy.settings import Settings
from retrieval.embed import HASH
from retrieval.index import Embedding, load_recipe

TOKENS, REQUESTS, WARM_UP, PORT, ENGINE_PORT = 64, 400, 40, 18080, 18100
_CALLER, _QUESTION = "ana", "How many days of annual leave do I get?"


def measure_gateway(settings: Settings) -> dict[str, dict[str, float | int]]:
    """Milliseconds of CPU and of wall time per request, one caller at a time."""
    with tempfile.TemporaryDirectory() as folder:
        own = _bench_settings(settings, Path(folder))
        with Stack(own) as stack:
            stack.make_weights()  # for their tokenizer
            stack.start_scripted_engine(TOKENS)
            stack.ingest(DOCUMENTS)
            stack.serve()
            key, pid = sample_keys(own)[_CALLER], stack.pid("gateway")
            answer, question = "/v1/answer", {"question": _QUESTION}
            with Gateway(own) as gateway:
                calls: dict[str, Callable[[], object]] = {
                    "search for 2 passages (finding alone)": lambda: gateway.post(
                        "/v1/search", {"query": _QUESTION, "limit": 2}, key=key
                    ),
                    "answer as JSON, 64 tokens": lambda: gateway.post(answer, question, key=key),
                    "answer as a stream, 64 tokens": lambda: gateway.stream(
                        answer, {**question, "stream": True}, key=key
                    ),
                }
                return {f"gateway, {name}": _measure(pid, call) for name, call in calls.items()}


def _bench_settings(settings: Settings, folder: Path) -> Settings:
    """The pinned versions, but with an embedder that costs nothing and a threshold that always generates."""
    board = read_pinboard(settings.releases)
    recipe = load_recipe(board.index_recipe())
    embedder = Embedding(HASH, "", "", recipe.embedder.dimensions)
    recipe = msgspec.structs.replace(recipe, label="bench", embedder=embedder, abstain_below=-1.0)
    versions = folder / "versions"
    versions.mkdir()
    (versions / f"{recipe.name}.yaml").write_text(yaml.safe_dump(msgspec.to_builtins(recipe)), "utf-8")
    shutil.copy(board.model_manifest(), versions)
    pins = {"index": {"stable": recipe.name}, "model": {"stable": board.pins.model.stable}}
    (folder / "releases.yaml").write_text(yaml.safe_dump(pins), "utf-8")
    (folder / "models").symlink_to((settings.data / "models").resolve())
    return Settings(
        data=folder,
        releases=folder / "releases.yaml",
        port=PORT,
        engine_port=ENGINE_PORT,
        url=f"http://127.0.0.1:{PORT}",
    )


def _measure(pid: int, call: Callable[[], object]) -> dict[str, float | int]:
    for _ in range(WARM_UP):
        call()
    walls, before = [], _cpu_seconds(pid)
    for _ in range(REQUESTS):
        started = time.perf_counter()
        call()
        walls.append(time.perf_counter() - started)
    spent = _cpu_seconds(pid) - before
    return {"CPU ms per request": 1_000 * spent / REQUESTS, "wall p50 ms": 1_000 * median(walls)}


def _cpu_seconds(pid: int) -> float:
    """User and system time of all threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
