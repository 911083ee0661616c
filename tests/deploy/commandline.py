"""What tests of commands share: a small recipe, how a command ended, and a gateway to go through."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import uvicorn

from gateway.app import create_app
from retrieval.embed import HASH
from retrieval.index import Bm25, Chunker, Embedding, Fusion, IndexRecipe
from retrieval.ingest.chunk import CHUNKER
from retrieval.ingest.parse import PARSER
from tests.conftest import free_port
from tests.gateway.house import House, opening

ROOT = Path(__file__).resolve().parents[2]
RECIPE = IndexRecipe(
    label="cli",
    parser=PARSER,
    chunker=Chunker(CHUNKER, 100, "heading"),
    embedder=Embedding(HASH, "", "", 32),
    bm25=Bm25(1.2, 0.75, 10.0, "english"),
    fusion=Fusion("convex", 0.5, 0.5),
    reranker=None,
    candidates=20,
    passages=4,
    abstain_below=0.0,
)


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str


Cli = Callable[..., Said]


def refused(said: Said) -> str:
    """One line that says what to do, and no traceback."""
    assert said.code == 2, said
    assert said.err.startswith("twinpin: ")
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err + said.out
    return said.err


@contextmanager
def serving(house: House) -> Iterator[str]:
    """The house behind a real server in a thread of its own; its address."""
    port = free_port()
    house.app = create_app(house.settings, opening(house))
    server = uvicorn.Server(uvicorn.Config(house.app, host="127.0.0.1", port=port, log_config=None, lifespan="on"))
    thread = Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            thread.join(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
