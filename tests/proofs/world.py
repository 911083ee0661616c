"""The product's parts as one process holds them, driven side by side with the oracle and held against it."""

import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from retrieval.acl import Access, Principal, access_filter
from retrieval.building import build
from retrieval.catalog import Catalog
from retrieval.documents import Documents, Outcome
from retrieval.embed import HASH
from retrieval.erasure import Eraser
from retrieval.errors import IndexBehind
from retrieval.findings import Findings
from retrieval.index import Bm25, Chunker, Embedding, Fusion, IndexRecipe
from retrieval.ingest.blocks import PARSER, Parsed
from retrieval.ingest.chunk import CHUNKER
from retrieval.ingest.parse import parse
from retrieval.live import LiveIndex, silent
from retrieval.newdocument import NewDocument
from retrieval.opening import Place, open_live
from retrieval.receipt import SignedReceipt, Signer
from retrieval.store import Narrowing
from tests.proofs.oracle import Key, Lists, Oracle, Paper, Who

EVERYTHING = 10_000  # more passages than any of these worlds has
ANYTHING = Narrowing()


def recipe(budget: int = 12, *, dimensions: int = 16, candidates: int = 20) -> IndexRecipe:
    """A recipe without a model; with a budget of 12 each section of `draw.text` is a chunk."""
    return IndexRecipe(
        label="proof",
        parser=PARSER,
        chunker=Chunker(CHUNKER, budget, "none"),
        embedder=Embedding(HASH, "", "", dimensions),
        bm25=Bm25(1.2, 0.75, 10.0, "english"),
        fusion=Fusion("convex", 0.5, 0.5),
        reranker=None,
        candidates=candidates,
        passages=8,
        abstain_below=0.0,
        collapse=0.0,  # the oracle counts every passage
    )


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory where the system has one: what is proved here is no property of a disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


class InProcess:
    """The parser without its own process."""

    def parse(self, name: str, raw: bytes) -> Parsed:
        """Parse one file."""
        return parse(name, raw)


@dataclass(slots=True)
class Board:
    """Which versions are open, and which of them takes traffic."""

    stable: LiveIndex
    previous: LiveIndex | None = None
    candidate: LiveIndex | None = None

    def serving(self) -> Sequence[LiveIndex]:
        """The one that takes traffic."""
        return [self.stable]

    def retained(self) -> Sequence[LiveIndex]:
        """All that are open."""
        return [one for one in (self.stable, self.previous, self.candidate) if one is not None]

    def pins(self) -> "Pins":
        """What to open after a restart."""
        previous, candidate = (None if one is None else one.recipe for one in (self.previous, self.candidate))
        return Pins(self.stable.recipe, previous, candidate)


@dataclass(frozen=True, slots=True)
class Pins:
    """Which recipes are pinned to what."""

    stable: IndexRecipe
    previous: IndexRecipe | None = None
    candidate: IndexRecipe | None = None


NEW = Pins(recipe())


def access(key: Key, lists: Lists) -> Access:
    """The product's form of the oracle's lists."""
    return Access(key[0], lists.allow, lists.deny)


def new_document(key: Key, paper: Paper, lists: Lists) -> NewDocument:
    """The product's form of the oracle's paper."""
    raw = paper.text.encode()
    return NewDocument(
        key[1],
        "text.txt",
        raw,
        access(key, lists),
        "proofs",
        category=paper.category,
        updated=paper.updated,
        expires=paper.expires,
        supersedes=paper.supersedes,
    )


def principal(who: Who) -> Principal:
    """The product's form of the oracle's caller."""
    groups = frozenset(grant.removeprefix("group:") for grant in who.grants if grant.startswith("group:"))
    by_name = f"user:{who.subject}" in who.grants
    return Principal(who.tenant, who.subject, groups, frozenset(), who.names - who.grants, by_name=by_name)


async def ask(
    index: LiveIndex, who: Who, question: str, narrowing: Narrowing = ANYTHING, limit: int = EVERYTHING
) -> Findings:
    """What a caller finds under an index version."""
    return await index.finder().find(question, access_filter(principal(who)), narrowing, limit=limit)


def texts_found(findings: Findings) -> dict[str, str]:
    """The text that each document was found with, in its own order."""
    found: dict[str, dict[int, str]] = {}
    for one in findings.passages:
        ref = one.passage.ref
        found.setdefault(ref.document, {})[ref.start] = one.passage.text
    return {document: "\n\n".join(parts[start] for start in sorted(parts)) for document, parts in found.items()}


@dataclass(slots=True)
class World:
    """A data folder with everything open. Each change goes to the product first, then to the oracle."""

    folder: Path
    place: Place
    catalog: Catalog
    board: Board
    oracle: Oracle
    documents: Documents = field(init=False)
    eraser: Eraser = field(init=False)

    def __post_init__(self) -> None:
        self.documents = Documents(self.catalog, self.board, InProcess())
        signer = Signer(self.folder / "signing.key")
        self.eraser = Eraser(self.documents, self.place, signer, lambda: datetime.now(UTC))

    async def put(self, key: Key, paper: Paper, lists: Lists) -> Outcome:
        """Take a document in."""
        (outcome,) = await self.put_all([(key, paper, lists)])
        return outcome

    async def put_all(self, handed_in: Sequence[tuple[Key, Paper, Lists]]) -> list[Outcome]:
        """Take documents in together; one without readers is refused, and everything stays as it was."""
        outcomes = await self.documents.put([new_document(*one) for one in handed_in])
        for one, outcome in zip(handed_in, outcomes, strict=True):
            readers = one[2].allow
            assert (outcome.status == "refused") == (not readers), outcome
            assert outcome.status in ("added", "updated", "access", "unchanged", "refused"), outcome
            if readers:
                self.oracle.put(*one)
        return outcomes

    async def grant(self, key: Key, lists: Lists) -> None:
        """Change who may read it."""
        await self.documents.grant(*key, access(key, lists))
        self.oracle.grant(key, lists)

    async def revert(self, key: Key) -> None:
        """Bring earlier content back, where there is some."""
        if self.oracle.standing[key].earlier is not None:
            outcome = await self.documents.revert(*key)
            assert outcome.status == "updated", outcome
            self.oracle.revert(key)

    async def delete(self, key: Key) -> None:
        """Take it away."""
        await self.documents.delete(*key)
        self.oracle.delete(key)

    async def erase(self, key: Key) -> SignedReceipt:
        """Take it away and its bytes with it."""
        receipt = await self.eraser.erase(*key)
        self.oracle.delete(key)
        return receipt

    async def build(self, wanted: IndexRecipe) -> None:
        """Build a version beside the open ones, as a process of its own would, and open it as the candidate."""
        await build(wanted, self.place, self.catalog, InProcess(), silent)
        self.board.candidate = await open_live(wanted, self.place, self.catalog)

    async def flip(self) -> None:
        """Let the candidate take traffic; what did so before is kept, what was kept before is closed."""
        board, coming = self.board, self.board.candidate
        assert coming is not None
        await coming.follow()
        async with self.documents.quiet():
            await coming.follow()
            leaving, board.previous = board.previous, board.stable
            board.stable, board.candidate = coming, None
        if leaving is not None:
            await leaving.close()

    async def roll_back(self) -> None:
        """Let the version before take traffic again; the one that leaves is a candidate once more."""
        board, coming = self.board, self.board.previous
        assert coming is not None
        await coming.follow()
        async with self.documents.quiet():
            await coming.follow()
            leaving, board.candidate = board.candidate, board.stable
            board.stable, board.previous = coming, None
        if leaving is not None:
            await leaving.close()

    async def follow(self) -> None:
        """Bring every open version up to date."""
        for index in self.board.retained():
            await index.follow()

    async def found(self, index: LiveIndex, who: Who, question: str) -> dict[str, str] | None:
        """Text by document; None when the version says that it may not answer."""
        try:
            findings = await ask(index, who, question)
        except IndexBehind:
            return None
        assert findings.violations == 0, f"{index.name} handed out chunks that their own fields forbid to {who}"
        return texts_found(findings)

    async def check(self, who: Who, question: str) -> None:
        """Serving: exactly what is permitted. Kept beside it: nothing else, and no document but whole."""
        due = {name: paper.text for name, paper in self.oracle.shown(who).items()}
        for index in self.board.retained():
            found = await self.found(index, who, question)
            if index is self.board.stable:
                assert found == due, f"{index.name}: {_difference(found or {}, due)} for {who}"
            elif found is not None:
                assert found.items() <= due.items(), f"{index.name}: {_difference(found, due)} for {who}"

    async def check_followed(self, who: Who, question: str) -> None:
        """Every open version answers, and all alike, as nothing is left to follow."""
        due = {name: paper.text for name, paper in self.oracle.shown(who).items()}
        for index in self.board.retained():
            found = await self.found(index, who, question)
            assert found == due, f"{index.name}: {_difference(found or {}, due)} for {who}"


def _difference(found: dict[str, str], due: dict[str, str]) -> str:
    leaked = sorted(found.keys() - due.keys())
    lacking = sorted(due.keys() - found.keys())
    other = sorted(name for name in found.keys() & due.keys() if found[name] != due[name])
    return f"leaked {leaked}, lacking {lacking}, other words than the current ones {other}"


@asynccontextmanager
async def open_world(folder: Path, oracle: Oracle, pins: Pins = NEW, server: str | None = None) -> AsyncIterator[World]:
    """Open a data folder with the versions that are pinned. Nothing follows yet."""
    async with Catalog.open(folder / "catalog.db") as catalog:
        place = Place(folder / "indexes", server)
        board = Board(await open_pinned(pins.stable, place, catalog))
        world = World(folder, place, catalog, board, oracle)
        try:
            if pins.previous is not None:
                board.previous = await open_pinned(pins.previous, place, catalog)
            if pins.candidate is not None:
                board.candidate = await open_pinned(pins.candidate, place, catalog)
            yield world
        finally:
            for index in board.retained():
                await index.close()


async def open_pinned(wanted: IndexRecipe, place: Place, catalog: Catalog) -> LiveIndex:
    """As a gateway opens a version: the first one of an empty catalog is made."""
    sealed = await catalog.manifest(wanted.name) is not None
    index = await open_live(wanted, place, catalog, create=not sealed)
    if not sealed:
        await index.seal(place.where(wanted.name, None))
    return index
