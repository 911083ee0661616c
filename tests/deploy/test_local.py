"""The stack starts, says clearly why it cannot, and stops all it started. Its children here are harmless scripts."""

import os
import shutil
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import pytest

from deploy import engine
from deploy.local import Stack, StackError
from deploy.pinboard import ReleaseConfigError
from deploy.settings import Settings
from tests.conftest import free_port

RELEASES = Path(__file__).resolve().parents[2] / "deploy" / "releases.yaml"
Answer = TypeVar("Answer")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(engine, "has_gpu", lambda: False)
    return Settings(
        data=tmp_path / "data",
        releases=RELEASES,
        port=free_port(),
        engine_port=free_port(),
        engine_python=tmp_path / "python",
    )


def plays(settings: Settings, weights: str, serving: str) -> None:
    """Make the engine's interpreter a script: what it does to make weights, and what it does to serve."""
    script = f'#!/bin/sh\ncase "$2" in serving.weights) {weights};; *) {serving};; esac\n'
    settings.engine_python.write_text(script)
    settings.engine_python.chmod(0o755)


@pytest.fixture
def said() -> list[str]:
    return []


def eventually(condition: Callable[[], Answer]) -> Answer:
    """What the condition gives once it gives something."""
    deadline = time.monotonic() + 15
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)
    return answer


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_it_started_is_stopped_at_the_end_and_its_children_too(settings: Settings, said: list[str]) -> None:
    plays(settings, "exit 0", "sleep 600 & echo $!; wait")
    with Stack(settings, said.append) as stack:
        stack.start_engine()
        pid, log = stack.pid("engine"), settings.data / "logs" / "engine.log"
        child = int(eventually(lambda: log.read_text().strip()))
        assert alive(pid)
        assert alive(child)
    assert not alive(pid)
    eventually(lambda: not alive(child))
    assert said[0] == "• model weights"
    assert said[-1] == f"• starting the engine (log: {log})"


def interrupted_while_running(stack: Stack) -> None:
    stack.start_engine()
    assert alive(stack.pid("engine"))
    raise KeyboardInterrupt


def test_they_are_stopped_when_something_goes_wrong_in_between(settings: Settings, said: list[str]) -> None:
    plays(settings, "exit 0", "exec sleep 600")
    stack = Stack(settings, said.append)
    with pytest.raises(KeyboardInterrupt), stack:
        interrupted_while_running(stack)
    assert not alive(stack.pid("engine"))


def test_a_child_that_dies_is_told_with_the_end_of_its_log(settings: Settings, said: list[str]) -> None:
    plays(settings, "exit 0", "for n in $(seq 1 40); do echo line $n; done; echo no memory left >&2; exit 7")
    with Stack(settings, said.append) as stack:
        stack.start_engine()
        with pytest.raises(StackError, match="the engine stopped with exit code 7") as told:
            stack.watch()
    text = str(told.value)
    assert text.endswith("line 40\nno memory left")
    assert "line 3\n" not in text


def test_a_step_that_fails_stops_the_start(settings: Settings, said: list[str]) -> None:
    plays(settings, "exit 1", "exit 0")
    with pytest.raises(StackError, match="model weights: failed with exit code 1"), Stack(settings, said.append) as one:
        one.start_engine()


def test_an_engine_environment_that_is_not_there_is_told(settings: Settings, said: list[str]) -> None:
    told = r"python cannot be started: No such file.*make run"
    with pytest.raises(StackError, match=told), Stack(settings, said.append) as stack:
        stack.start_engine()


@pytest.mark.parametrize(
    ("field", "told"),
    [("port", r"the gateway needs it.*TWINPIN_PORT"), ("engine_port", r"the engine needs it.*TWINPIN_ENGINE_PORT")],
)
def test_a_port_that_is_taken_is_told_before_anything_starts(
    settings: Settings, said: list[str], field: str, told: str
) -> None:
    plays(settings, "exit 0", "exec sleep 600")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", getattr(settings, field)))
        taken.listen()
        with pytest.raises(StackError, match=told), Stack(settings, said.append) as stack:
            stack.start_engine()
    assert said == []


def test_a_full_disk_is_told_before_anything_starts(
    settings: Settings, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 30))
    told = r"1\.0 GiB are free in .*data, 2 are needed"
    with pytest.raises(StackError, match=told), Stack(settings, said.append) as stack:
        stack.start_scripted_engine(4)


def test_pins_that_cannot_be_read_are_told_before_anything_starts(settings: Settings, said: list[str]) -> None:
    with pytest.raises(ReleaseConfigError):
        Stack(settings.model_copy(update={"releases": settings.data / "none.yaml"}), said.append).__enter__()


@pytest.fixture
def stack(settings: Settings, said: list[str]) -> Iterator[Stack]:
    with Stack(settings, said.append) as one:
        yield one


def test_the_scripted_engine_answers_for_the_pinned_model(settings: Settings, stack: Stack) -> None:
    stack.start_scripted_engine(4)
    url = f"http://127.0.0.1:{settings.engine_port}/v1/models"
    assert stack.manifest.served_name in eventually(lambda: fetch(url))


def fetch(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return str(response.read().decode())
    except OSError:
        return ""
