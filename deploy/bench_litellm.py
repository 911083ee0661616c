"""The LiteLLM proxy that the gateway is measured next to: in an environment of its own, without a database."""

import subprocess
import sys
from pathlib import Path

import yaml

from deploy.local import Stack
from deploy.settings import Settings

VERSION, MODEL, KEY, PORT = "1.106.2", "twinpin", "sk-bench", 18090
_PATIENCE, _NAME = 300.0, "proxy"
_STAMP = ".twinpin.stamp"
# It neither fetches a price list at its start nor writes a line for each request.
_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOG": "ERROR",
    "LITELLM_MODE": "PRODUCTION",
    "PYTHONPATH": "",
}


class LiteLLMMissing(Exception):
    """It cannot be installed here; the text says why."""


def start_litellm(stack: Stack, settings: Settings, served: str) -> int:
    """Install it where it is not, start it in front of the stack's engine, and wait for it; its process id.

    Errors: LiteLLMMissing.
    """
    python = install_litellm(settings.data / f"litellm-{VERSION}")
    config = stack.settings.data / "litellm.yaml"
    config.write_text(yaml.safe_dump(_config(stack.settings.engine_port, served)), "utf-8")
    command = [str(python.parent / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(PORT)]
    stack.start(_NAME, [*command, "--num_workers", "1"], _ENVIRONMENT)
    stack.wait(_NAME, f"http://127.0.0.1:{PORT}/health/liveliness", _PATIENCE)
    return stack.pid(_NAME)


def install_litellm(folder: Path) -> Path:
    """The interpreter of its environment, made where there is none; LiteLLMMissing when pip cannot.

    A stamp is written last: what was interrupted has none, and is made anew.
    """
    python = folder / "bin" / "python"
    if not (folder / _STAMP).exists():
        sys.stdout.write(f"installing litellm[proxy]=={VERSION} in {folder}\n")
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", f"litellm[proxy]=={VERSION}"])
        (folder / _STAMP).touch()
    return python


def _config(engine_port: int, served: str) -> dict[str, object]:
    behind = {"model": f"openai/{served}", "api_base": f"http://127.0.0.1:{engine_port}/v1", "api_key": "none"}
    return {
        "model_list": [{"model_name": MODEL, "litellm_params": behind}],
        "litellm_settings": {"telemetry": False},
        "general_settings": {"master_key": KEY},
    }


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own commands
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise LiteLLMMissing(f"litellm[proxy]=={VERSION} cannot be installed: {last[:200]}")
