"""Every fault of every link, both ways, before, at and during an answer: what a caller may get, and nothing else."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from tests.faults.asking import Outcome
from tests.faults.cells import CELLS, RESTORED_WITHIN, Cell, violations
from tests.faults.report import write_matrix
from tests.faults.site import LEASE_SECONDS, LINKS, Site, site
from tests.gateway.issuer import Issuer, served
from tests.postgres import TEMPLATE, running_catalogs
from tests.redis_server import running_redis

pytestmark = [
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning"),
]
ATTEMPTS, STARVED = 3, 0.5
SPARE = 12  # tasks and connections that come and go by themselves: pools, what follows files


@pytest.fixture(scope="module")
def database() -> Iterator[tuple[str, str]]:
    """The socket of a PostgreSQL, and a catalog there."""
    with running_catalogs() as server:
        url = server.create(TEMPLATE)
        name, _, folder = url.partition("@/")[2].partition("?host=")
        yield f"{folder}/.s.PGSQL.5432", name


@pytest.fixture
async def here(tmp_path: Path, database: tuple[str, str]) -> AsyncIterator[Site]:
    # structlog's own rendering of a traceback takes a second of the only event loop
    with running_redis() as redis, served(Issuer()) as issuer, structlog.testing.capture_logs():
        async with site(tmp_path, redis, database, issuer) as made:
            yield made


@pytest.fixture
def cells(request: pytest.FixtureRequest) -> list[Cell]:
    """All of them, or so many that are drawn, of each link as many."""
    wanted = int(request.config.getoption("--faults"))
    rng = random.Random(request.config.getoption("--faults-seed"))
    named = [cell for cell in CELLS if request.config.getoption("--faults-of") in str(cell)]
    of_each = [[cell for cell in named if cell.link == link] for link in LINKS]
    return [cell for some in of_each for cell in rng.sample(some, min(len(some), max(1, wanted // len(LINKS))))]


async def test_every_cell_keeps_the_contract(here: Site, cells: list[Cell], request: pytest.FixtureRequest) -> None:
    whole = await answered(here)
    before, seen, broken = here.open(), dict[Cell, Outcome](), list[str]()
    for cell in cells:
        seen[cell], wrong = await tried(here, cell, whole)
        broken += [f"{cell}: {one}" for one in wrong]
        if report := request.config.getoption("--faults-report"):
            write_matrix(Path(report), seen)
    broken += await left_open(here, before)
    assert broken == []


async def answered(here: Site) -> str:
    """What the answer is while nothing fails."""
    outcome, attempts = await here.ask(), 1
    while not outcome.done and outcome.starved >= STARVED and attempts < ATTEMPTS:
        outcome, attempts = await here.ask(), attempts + 1
    assert outcome.done, outcome
    return outcome.text


async def tried(here: Site, cell: Cell, whole: str) -> tuple[Outcome, list[str]]:
    """What came of it, and what of that is wrong; once more where the machine had no time for it."""
    (outcome, wrong), attempts = await once(here, cell, whole), 1
    while wrong and outcome.starved >= STARVED and attempts < ATTEMPTS:
        (outcome, wrong), attempts = await once(here, cell, whole), attempts + 1
    return outcome, wrong


async def once(here: Site, cell: Cell, whole: str) -> tuple[Outcome, list[str]]:
    outcome = await suffered(here, cell)
    wrong = list(violations(cell, outcome, whole))
    return outcome, wrong if await restored(here) else [*wrong, f"not restored within {RESTORED_WITHIN:g} s"]


async def suffered(here: Site, cell: Cell) -> Outcome:
    """Ask while the link is spoiled: from the first connection on, from the request on, from the first word on."""
    link = here.links[cell.link]
    reading = asyncio.create_task(asyncio.sleep(0))
    if cell.moment == "before":
        link.cut()
        if cell.link == "JWKS":
            here.forget_keys()
    if cell.moment != "during":
        link.spoil(cell.fault, cell.direction)
    if cell.link == "JWKS" and cell.moment == "at":
        reading = asyncio.create_task(here.read_keys())
    asking = asyncio.create_task(here.ask())
    if cell.moment == "during":
        heard = asyncio.create_task(here.asking.heard.wait())
        await asyncio.wait({heard, asking}, return_when=asyncio.FIRST_COMPLETED)
        heard.cancel()
        link.spoil(cell.fault, cell.direction)
        if cell.link == "JWKS":
            reading = asyncio.create_task(here.read_keys())
    outcome = await asking
    link.heal()
    await reading
    return outcome


async def restored(here: Site) -> bool:
    """With the link as it was, everything is as it was, by itself."""
    until = asyncio.get_running_loop().time() + RESTORED_WITHIN
    while asyncio.get_running_loop().time() < until:
        if await here.restored():
            return True
        await asyncio.sleep(0.2)
    return False


async def left_open(here: Site, before: dict[str, int]) -> list[str]:
    """What has not gone once the last lease is over."""
    until = asyncio.get_running_loop().time() + LEASE_SECONDS + 1.0
    while True:
        now = here.open()
        more = [f"{now[one]} {one}, {was} before" for one, was in before.items() if now[one] > was + SPARE]
        if now["places in Redis"]:
            more.append(f"{now['places in Redis']} places in Redis are taken")
        if not more or asyncio.get_running_loop().time() > until:
            return more
        await asyncio.sleep(0.5)
