"""A real PostgreSQL server for the length of a test session, in a directory of its own and on a socket only."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from retrieval.catalog import Catalog

MISSING = "PostgreSQL's server programs are not here: `make test` installs them (Debian: apt-get install postgresql)"
TEMPLATE = "catalog"
# Nothing of a test has to survive a power failure.
CARELESS = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "listen_addresses=", "max_connections=60")


class Postgres:
    """A running server; a database of its own for every test."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self._programs = programs
        self._directory = directory
        self._made = 0

    def create(self, template: str = "template1") -> str:
        """A new database, the copy of another that nobody uses now; returns its URL."""
        self._made += 1
        name = f"test_{self._made}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def url(self, name: str) -> str:
        """Where a database is."""
        return f"postgresql://postgres@/{name}?host={self._directory}"

    def run(self, statement: str, database: str = "postgres") -> str:
        """What the server's own client prints for a statement."""
        client, where = str(self._programs / "psql"), ["-h", str(self._directory), "-U", "postgres", database]
        command = [client, "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement, *where]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def dump(self, url: str) -> bytes:
        """Every row of every table, as text."""
        command = [str(self._programs / "pg_dump"), "--data-only", "--inserts", url]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


@contextmanager
def _running_postgres() -> Iterator[Postgres]:
    """Make a cluster and serve it; the server refuses to be root, and then runs as `postgres`."""
    programs, owner = _programs(), _owner()
    directory = Path(tempfile.mkdtemp(prefix="pg"))  # short, as the name of a socket has to be
    try:
        if owner:
            shutil.chown(directory, owner["user"], owner["group"])
        data = directory / "data"
        made = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale-provider=icu", "--icu-locale=en", "--no-sync"]
        subprocess.run([programs / "initdb", "-D", data, *made], check=True, stdout=subprocess.DEVNULL, **owner)
        with _serving(programs, data, directory, owner):
            yield Postgres(programs, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def running_catalogs() -> Iterator[Postgres]:
    """A server with a database that is a new catalog's, `TEMPLATE`."""
    with _running_postgres() as server:
        server.run(f"CREATE DATABASE {TEMPLATE}")
        with ThreadPoolExecutor(1) as aside:  # where no event loop is
            aside.submit(asyncio.run, _make(server.url(TEMPLATE))).result()
        yield server


async def _make(url: str) -> None:
    async with Catalog.open(url):
        pass


@contextmanager
def _serving(programs: Path, data: Path, directory: Path, owner: dict[str, Any]) -> Iterator[None]:
    settings = [part for setting in (*CARELESS, f"unix_socket_directories={directory}") for part in ("-c", setting)]
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen([programs / "postgres", "-D", data, *settings], stdout=log, stderr=log, **owner)
    try:
        _await_ready(programs, directory, server)
        yield
    finally:
        server.send_signal(signal.SIGINT)  # end now, and let nobody finish
        server.wait(30)


def _await_ready(programs: Path, directory: Path, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        ready = subprocess.run([programs / "pg_isready", "-q", "-h", directory], check=False)
        if ready.returncode == 0:
            return
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"PostgreSQL did not start: {(directory / 'log').read_text()}")


def _programs() -> Path:
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = str(debian[-1]) if debian else shutil.which("initdb")
    if found is None:
        raise RuntimeError(MISSING)
    return Path(found).resolve().parent


def _owner() -> dict[str, Any]:
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
