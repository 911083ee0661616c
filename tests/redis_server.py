"""A real Redis server for the length of a test, on a socket of its own, that can be killed and come back."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MISSING = "Redis's server is not here: `make test` installs it (Debian: apt-get install redis-server)"
READY_WITHIN = 10.0


class RedisServer:
    """Keeps nothing: what is started again is empty."""

    def __init__(self, directory: Path) -> None:
        self._socket = directory / "s"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._socket}"

    def start(self) -> None:
        """Return when it answers."""
        program = shutil.which("redis-server")
        if program is None:
            raise RuntimeError(MISSING)
        options = ["--port", "0", "--unixsocket", str(self._socket), "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, cwd=self._socket.parent)
        started = time.monotonic()
        while self.run("PING") != "PONG":
            if time.monotonic() - started > READY_WITHIN:
                raise RuntimeError("Redis did not start")
            time.sleep(0.02)

    def kill(self) -> None:
        """As a machine that is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def run(self, *command: str) -> str:
        """What the server's own client prints."""
        asked = ["redis-cli", "-s", str(self._socket), *command]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    """A server in a folder that goes with it."""
    directory = Path(tempfile.mkdtemp(prefix="rd"))  # short, as the name of a socket has to be
    server = RedisServer(directory)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(directory, ignore_errors=True)
