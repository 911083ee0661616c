"""A gateway in a process of its own, on a scripted model, that answers until it is killed."""

import asyncio
import socket
from multiprocessing.connection import Connection
from pathlib import Path

import structlog

from gateway.app import create_app
from gateway.http.draining import Draining
from gateway.http.server import Server
from retrieval.catalog import Catalog
from retrieval.stores.memory_store import MemoryStore
from tests.gateway.house import CORPUS, REFUND, House, make_house, opening, pinned_recipe, seed


def serve(folder: Path, audit: str, told: Connection, pause: float = 0.0, drain: float = 0.0) -> None:
    """Tell the port and a key, and answer until a signal, with so many seconds between two words."""
    structlog.configure(processors=[_drop])
    house = make_house(folder, audit=audit)
    house.model.pause = pause
    house.model.says(f"{REFUND[:-1]} [1].")
    scratch = folder / "seed.db"
    for path in folder.glob(f"{scratch.name}*"):
        path.unlink()
    asyncio.run(_fill(house, scratch))
    draining = Draining()
    house.app = create_app(house.settings, opening(house), draining)
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    told.send((listening.getsockname()[1], house.keys["ana"]))
    Server(house.app, draining, drain_seconds=drain, answer_seconds=30).run(sockets=[listening])


async def _fill(house: House, scratch: Path) -> None:
    """The index is in memory, and gone with its process: made anew, by a catalog that nobody else reads."""
    store = house.stores.setdefault(pinned_recipe().name, MemoryStore())
    async with Catalog.open(scratch) as catalog:
        await seed(CORPUS, pinned_recipe(), catalog, store)


def _drop(logger: object, name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    raise structlog.DropEvent
