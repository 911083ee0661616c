"""A model version as the engine's command line and environment: what is served, by which name, within which limits."""

import json
from collections.abc import Mapping
from pathlib import Path

from serving.manifest import ModelManifest

MAX_REQUESTS = (
    32  # running and waiting together: more are refused with 503, which costs the caller less than a long queue
)
DRAIN_SECONDS = 10  # how long answers that are under way may go on after SIGTERM; the engine's own default aborts them
LORA_RANK = 16
LORA_SLOTS = 3  # stable, canary and one that is being loaded; with the engine's default of 1, two adapters take turns
CPU_BLOCK_TOKENS = 32  # the prefix cache works in whole blocks; the CPU default of 128 is as long as a short prompt
_LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0)


def engine_command(manifest: ModelManifest, model_dir: Path, *, port: int, gpu: bool, python: Path) -> list[str]:
    """The command that serves a version on the loopback interface.

    It answers to the name of the bare weights, and to the version's where that has an adapter. `python` is the engine
    environment's interpreter.
    """
    return [*_program(python, gpu), *_model(manifest, model_dir, gpu=gpu), *_limits(gpu=gpu), *_server(port)]


def engine_environment(inherited: Mapping[str, str], *, state: Path, gpu: bool) -> dict[str, str]:
    """The engine's environment: the inherited one, offline, telling nobody, with its caches in `state`."""
    own = {
        "HF_HOME": str(state / "huggingface"),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_DO_NOT_TRACK": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CACHE_ROOT": str(state / "vllm"),
        "VLLM_CONFIG_ROOT": str(state / "vllm"),
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    }
    cpu = {} if gpu else {"VLLM_CPU_KVCACHE_SPACE": "1"}  # GiB: 46,000 tokens of the sample model
    return {**inherited, **own, **cpu}


def _program(python: Path, gpu: bool) -> list[str]:
    if gpu:
        return [str(python.with_name("vllm")), "serve"]
    # the `vllm` command looks up a distribution of that name, and the CPU build has another
    return [str(python), "-m", "vllm.entrypoints.openai.api_server"]


def _model(manifest: ModelManifest, model_dir: Path, *, gpu: bool) -> list[str]:
    source = [str(model_dir)] if gpu else ["--model", str(model_dir)]
    names = ["--served-model-name", manifest.base.served_name]
    adapters = ["--lora-modules", f"{manifest.name}={manifest.adapter.path}"] if manifest.adapter else []
    return [
        *source,
        *names,
        *adapters,
        "--dtype=bfloat16",
        f"--max-model-len={manifest.context_tokens}",
        "--generation-config=vllm",  # only the manifest says how to sample
        "--enable-prefix-caching",
        "--enable-lora",
        f"--max-lora-rank={LORA_RANK}",
        f"--max-loras={LORA_SLOTS}",
    ]


def _limits(*, gpu: bool) -> list[str]:
    # compiling for the CPU takes longer than it saves
    device = [] if gpu else ["--enforce-eager", f"--block-size={CPU_BLOCK_TOKENS}"]
    return [*device, f"--max-num-queued-reqs={MAX_REQUESTS}", f"--shutdown-timeout={DRAIN_SECONDS}"]


def _server(port: int) -> list[str]:
    buckets = {family: _LATENCY_BUCKETS for family in ("request_latency", "time_to_first_token")}
    return [
        "--host=127.0.0.1",
        f"--port={port}",
        "--enable-prompt-tokens-details",
        f"--custom-histogram-buckets={json.dumps(buckets, separators=(',', ':'))}",
        "--disable-uvicorn-access-log",
        "--disable-fastapi-docs",
    ]
