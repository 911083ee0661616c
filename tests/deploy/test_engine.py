"""The engine's process is planned from the manifest and the settings, and runs in the other environment."""

import os
from pathlib import Path

import pytest

from deploy import engine
from deploy.engine import engine_plan, exec_engine, has_gpu, package_root, weights_command
from deploy.pinboard import ReleaseConfigError, read_pinboard
from deploy.settings import Settings
from serving.manifest import ModelManifest, load_manifest
from serving.weights import directory_name

RELEASES = Path(__file__).resolve().parents[2] / "deploy" / "releases.yaml"


@pytest.fixture
def manifest() -> ModelManifest:
    return load_manifest(read_pinboard(RELEASES).model_manifest())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, releases=RELEASES, engine_python=tmp_path / "bin" / "python")


@pytest.mark.parametrize("gpu", [False, True])
def test_the_plan_serves_the_pinned_weights_under_their_own_name(
    settings: Settings, manifest: ModelManifest, monkeypatch: pytest.MonkeyPatch, gpu: bool
) -> None:
    monkeypatch.setattr(engine, "has_gpu", lambda: gpu)
    monkeypatch.setenv("KEPT", "yes")
    command, environment = engine_plan(settings, manifest, 8123)
    assert command[0] == str(settings.data / "bin" / ("vllm" if gpu else "python"))
    assert str(settings.models / directory_name(manifest.base.digest)) in command
    assert manifest.served_name in command
    assert {"--port=8123", "--host=127.0.0.1"} <= set(command)
    assert environment["KEPT"] == "yes"
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert Path(environment["VLLM_CACHE_ROOT"]).is_relative_to(settings.data)


def test_paths_do_not_depend_on_the_engines_directory(
    manifest: ModelManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    relative = Settings(data=Path("data"), releases=RELEASES, engine_python=Path("env/bin/python"))
    command, environment = engine_plan(relative, manifest, 8100)
    weights = weights_command(relative, manifest)
    assert Path(command[0]).is_absolute()
    assert Path(environment["HF_HOME"]).is_absolute()
    assert weights[0] == str(tmp_path / "env/bin/python")
    assert f"{tmp_path}/data/models" in weights


def test_weights_are_made_from_what_the_manifest_pins(settings: Settings, manifest: ModelManifest) -> None:
    command = weights_command(settings, manifest)
    assert command[:3] == [str(settings.engine_python), "-m", "serving.weights"]
    options = dict(zip(command[3::2], command[4::2], strict=True))
    base = manifest.base
    assert options == {
        "--package": base.package,
        "--file": base.file,
        "--digest": base.digest,
        "--out": str(settings.models),
    }


@pytest.mark.parametrize(
    ("script", "found"), [("echo 'GPU 0: some card'", True), ("echo 'no devices' >&2; exit 9", False), (None, False)]
)
def test_a_gpu_is_there_when_its_driver_lists_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, found: bool
) -> None:
    if script is not None:
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert has_gpu() is found


def test_becoming_the_engine_replaces_this_process(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []
    monkeypatch.setattr(os, "execvpe", lambda *arguments: called.append(arguments))
    monkeypatch.setattr(engine, "has_gpu", lambda: False)
    exec_engine(settings, 8100)
    assert len(called) == 1
    with pytest.raises(ReleaseConfigError):
        exec_engine(Settings(releases=settings.data / "none.yaml"), 8100)


def test_the_packages_are_where_the_engine_can_import_them_from() -> None:
    assert {"serving", "retrieval", "deploy", "gateway"} <= {path.name for path in package_root().iterdir()}
