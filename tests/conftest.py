"""What several suites share."""

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from deploy.local import Stack
from deploy.sampling import DOCUMENTS, sample_keys
from deploy.settings import Settings
from tests.postgres import TEMPLATE, Postgres, running_catalogs

ROOT = Path(__file__).parent.parent
MEMORY, ROOM = Path("/dev/shm"), 4 << 30
ENGINE = ("tests/journeys/", "tests/contracts/test_generator.py", "tests/serving/test_injections.py")
LONG = (*ENGINE, "tests/proofs/", "tests/retrieval/test_duel.py", "tests/retrieval/records/test_chain.py")
PORTS = range(10_000, 32_000)  # below those that systems give out by themselves


class ByFile(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """A file's tests stay in one process, so that what they share is made once; so do all that need the engine."""

    def _split_scope(self, nodeid: str) -> str:
        return "engine" if nodeid.startswith(ENGINE) else str(super()._split_scope(nodeid))


# what is tried is the same each time, unless somebody asks for others by `--hypothesis-profile=default`
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long the proofs go on: a few minutes here, as long as wanted by `make duel` and `make crash`."""
    parser.addoption("--duel", type=int, default=100_000, help="queries of the duel on the embedded engine")
    parser.addoption("--machine", type=int, default=60, help="runs of the state machine, of 40 steps each")
    parser.addoption("--faults", type=int, default=20, help="cells of the matrix of faults that are tried")
    parser.addoption("--faults-seed", type=int, default=1, help="draws them")
    parser.addoption("--faults-of", default="", help="of those cells alone that are called so, as `engine, reset`")
    parser.addoption("--faults-report", help="the file that the whole matrix is written to")
    parser.addoption("--sigterm", type=int, default=4, help="gateways that are asked to end under load")
    parser.addoption("--crash", type=int, default=100, help="kills of a process that writes")
    parser.addoption("--fuzz", type=int, default=8, help="requests that are made up for each operation")
    parser.addoption("--leave", type=int, default=100, help="clients that leave at a random moment")


def pytest_configure(config: pytest.Config) -> None:
    """Write to memory where there is enough of it: tests wait for disks far longer than they compute."""
    if config.option.basetemp is None and _room_in(MEMORY) >= ROOM:
        config.option.basetemp = tempfile.mkdtemp(prefix="twinpin-tests-", dir=MEMORY)
        config.add_cleanup(lambda: shutil.rmtree(config.option.basetemp, ignore_errors=True))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first, so that nobody waits for it at the end."""
    for item in items:
        if "running_stack" in getattr(item, "fixturenames", ()) and not item.nodeid.startswith(ENGINE):
            raise pytest.UsageError(f"{item.nodeid} needs the engine: add its file to ENGINE in tests/conftest.py")
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """How tests are dealt out where several processes run them."""
    return ByFile(config, log)


def _room_in(folder: Path) -> int:
    return shutil.disk_usage(folder).free if os.access(folder, os.W_OK) else 0


@dataclass(frozen=True)
class RunningStack:
    """The real thing: sample documents, engine with a real model, gateway."""

    url: str
    engine_url: str
    model: str
    served: str
    index: str
    keys: dict[str, str]
    settings: Settings
    gateway_pid: int


@dataclass(frozen=True)
class RealEngine:
    """A running vLLM and the name it answers to."""

    url: str
    model: str


def free_port() -> int:
    """A port that nobody listens on, and that nobody who asks the system for one is given meanwhile."""
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all, with a database that is a new catalog's."""
    with running_catalogs() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """A new catalog of each database: a file, or a URL."""
    if request.param == "sqlite":
        return tmp_path / "catalog.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.create(TEMPLATE)


@pytest.fixture(scope="session")
def running_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Start everything once for the whole session; weights are made once for the checkout."""
    data = tmp_path_factory.mktemp("stack")
    (ROOT / ".twinpin" / "models").mkdir(parents=True, exist_ok=True)
    (data / "models").symlink_to(ROOT / ".twinpin" / "models")
    port = free_port()
    settings = Settings(data=data, port=port, engine_port=free_port(), url=f"http://127.0.0.1:{port}")
    with Stack(settings) as stack:
        stack.start_engine()
        stack.ingest(DOCUMENTS)
        stack.calibrate()
        stack.serve({"TWINPIN_FIRST_TOKEN_SECONDS": "120"})  # a CPU that tests share takes its time
        yield RunningStack(
            url=settings.url,
            engine_url=f"http://127.0.0.1:{settings.engine_port}",
            model=stack.manifest.name,
            served=stack.manifest.served_name,
            index=stack.board.pins.index.stable,
            keys=sample_keys(settings),
            settings=settings,
            gateway_pid=stack.pid("gateway"),
        )


@pytest.fixture(scope="session")
def real_engine(running_stack: RunningStack) -> RealEngine:
    """The engine of the running stack, for suites that speak to it directly."""
    return RealEngine(running_stack.engine_url, running_stack.served)
