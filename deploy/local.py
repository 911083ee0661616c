"""The whole stack on one machine: model weights, sample documents, engine and gateway, started and stopped together."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.engine import engine_plan, package_root, weights_command
from deploy.pinboard import Pinboard, read_pinboard
from deploy.sampling import sample_keys
from deploy.settings import Settings
from serving.manifest import ModelManifest, load_manifest

_NEEDED_GIB = 2.0
_ENGINE_PATIENCE, _GATEWAY_PATIENCE, _GRACE = 600.0, 120.0, 15.0
_PR_SET_PDEATHSIG = 1
_STDERR = 2  # a step tells how far it is; what this process itself was asked for goes to its standard output


class StackError(Exception):
    """The stack cannot start or did not stay up; the text says what to do."""


@dataclass(slots=True)
class Child:
    """A process of ours with its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def require_alive(self) -> None:
        """StackError with the end of the log when the process has ended."""
        code = self.process.poll()
        if code is not None:
            lines = self.log.read_text("utf-8", "replace").splitlines()[-12:]
            end = "\n".join(lines)
            raise StackError(f"the {self.name} stopped with exit code {code}; the end of {self.log}:\n{end}")

    def stop(self) -> None:
        """Ask its whole process group to end, then insist."""
        if self.process.poll() is None:
            _signal(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                _signal(self.process.pid, signal.SIGKILL)
                self.process.wait()


@dataclass(slots=True)
class Stack:
    """Use as a context manager: whatever it started is stopped at the end. `say` hears what is going on."""

    settings: Settings
    say: Callable[[str], None] = field(default=lambda line: print(line, flush=True))
    board: Pinboard = field(init=False)
    manifest: ModelManifest = field(init=False)
    _children: list[Child] = field(init=False, default_factory=list)

    def __enter__(self) -> Self:
        self.board = read_pinboard(self.settings.releases)
        self.manifest = load_manifest(self.board.model_manifest())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self._children):
            child.stop()

    def make_weights(self) -> None:
        """Make the pinned model's weights and tokenizer if they are not there."""
        self._run("model weights", weights_command(self.settings, self.manifest))

    def start_engine(self, more: Mapping[str, str] | None = None) -> None:
        """Make the weights if they are not there and start the pinned model's engine; it loads while others work.

        `more` of its environment counts before what it has of itself.
        """
        self._require_room()
        self.make_weights()
        command, environment = engine_plan(self.settings, self.manifest, self.settings.engine_port)
        self.start("engine", command, environment | dict(more or {}))

    def start_scripted_engine(self, tokens: int, *, pause_ms: float = 0.0, more: Sequence[str] = ()) -> None:
        """Start the stand-in that replays words instead of a model, in place of the one that may be running.

        For benchmarks of everything else; `pause_ms` is between two tokens, `more` are further options of its own.
        """
        if not self._ended("engine"):
            self._require_room()
        command = [sys.executable, "-m", "serving.scripted_server", "--model", self.manifest.served_name]
        asked = ["--port", str(self.settings.engine_port), "--tokens", str(tokens), "--delay-ms", str(pause_ms)]
        self.start("engine", [*command, *asked, *more], {})
        self.wait("engine", f"http://127.0.0.1:{self.settings.engine_port}/health", _ENGINE_PATIENCE)

    def ingest(self, folder: Path) -> None:
        """Bring the pinned index up to date with a folder, in a process of its own."""
        self._run("documents", [sys.executable, "-m", "deploy", "ingest", str(folder)])

    def calibrate(self) -> None:
        """Fit the pinned index's threshold to the sample's dev questions, unless it has been fitted to any."""
        pinned = self.board.pins.index.stable
        self._run("threshold", [sys.executable, "-m", "deploy", "index", "calibrate", pinned, "--if-missing"])

    def serve(self, environment: Mapping[str, str] | None = None) -> None:
        """Start the gateway, in place of the one that may be running, and wait until every part is ready.

        `environment` are further settings of its own.
        """
        self._ended("gateway")
        sample_keys(self.settings)
        own = {"TWINPIN_DRAIN_SECONDS": "0"}  # nobody sends traffic here who would have to notice
        self.start("gateway", [sys.executable, "-m", "gateway"], own | dict(environment or {}))
        self.wait("engine", f"http://127.0.0.1:{self.settings.engine_port}/health", _ENGINE_PATIENCE)
        self.wait("gateway", f"http://127.0.0.1:{self.settings.port}/readyz", _GATEWAY_PATIENCE)

    def pid(self, name: str) -> int:
        """The process id of a child."""
        return self._child(name).process.pid

    def watch(self) -> None:
        """Return never, unless a child ends."""
        while True:
            for child in self._children:
                child.require_alive()
            time.sleep(1.0)

    def _environment(self) -> dict[str, str]:
        own = self.settings
        return {
            "PYTHONPATH": str(package_root()),  # the engine's environment has not installed our packages
            "TWINPIN_DATA": str(own.data),
            "TWINPIN_RELEASES": str(own.releases),
            "TWINPIN_PORT": str(own.port),
            "TWINPIN_URL": "",  # the documents of this stack, not of a gateway elsewhere
            "TWINPIN_ENGINE_URL": f"http://127.0.0.1:{own.engine_port}",
        }

    def _require_room(self) -> None:
        for name, port in (("gateway", self.settings.port), ("engine", self.settings.engine_port)):
            if _answers(port):
                raise StackError(
                    f"port {port} is taken, the {name} needs it: stop what listens there "
                    f"(an earlier `make run`?) or set TWINPIN_{'' if name == 'gateway' else 'ENGINE_'}PORT"
                )
        self.settings.data.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.settings.data).free / (1 << 30)
        if free < _NEEDED_GIB:
            raise StackError(f"{free:.1f} GiB are free in {self.settings.data}, {_NEEDED_GIB:g} are needed: make room")

    def _run(self, what: str, command: list[str]) -> None:
        """Run a step to its end, its output shown. An ingestion ends with 3 when some documents did not get in."""
        self.say(f"• {what}")
        started = time.monotonic()
        process = _spawn(command, self._environment(), None)
        self._children.append(Child(what, process, Path(os.devnull)))
        code = process.wait()
        self._children.pop()
        if code not in (0, 3):
            raise StackError(f"{what}: failed with exit code {code}, see above")
        self.say(f"  {what} ready ({time.monotonic() - started:.0f} s)")

    def start(self, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        """Start a process that stays."""
        log = self.settings.data / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        self.say(f"• starting the {name} (log: {log})")
        self._children.append(Child(name, _spawn(command, {**self._environment(), **environment}, log), log))

    def _ended(self, name: str) -> bool:
        """Stop a child; whether there was one."""
        running = next((child for child in self._children if child.name == name), None)
        if running is not None:
            running.stop()
            self._children.remove(running)
        return running is not None

    def _child(self, name: str) -> Child:
        return next(child for child in self._children if child.name == name)

    def wait(self, name: str, url: str, patience: float) -> None:
        """Return once a process that was started answers there; StackError after `patience` seconds."""
        child = self._child(name)
        started = said = time.monotonic()
        while not _ready(url):
            child.require_alive()
            now = time.monotonic()
            if now - started > patience:
                raise StackError(f"the {name} was not ready after {patience:.0f} s: see {child.log}")
            if now - said > 5.0:
                said = now
                self.say(f"  waiting for the {name} ({now - started:.0f} s)")
            time.sleep(0.5)
        self.say(f"  {name} ready ({time.monotonic() - started:.0f} s)")


def _spawn(command: list[str], environment: Mapping[str, str], log: Path | None) -> subprocess.Popen[bytes]:
    """A process in a group of its own that the kernel ends when this one dies."""
    output = None if log is None else log.open("wb")
    try:
        return subprocess.Popen(  # noqa: S603 - our own commands, no shell
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=_STDERR if output is None else output,
            stderr=None if output is None else subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one call into the kernel, and the parent has one thread
        )
    except OSError as error:
        raise StackError(f"{command[0]} cannot be started: {error.strerror}; `make run` sets it up") from error
    finally:
        if output is not None:
            output.close()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _signal(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - our own loopback address
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
