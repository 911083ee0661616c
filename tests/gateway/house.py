"""The gateway in one process on fakes that ship: a hashing embedder, a store in memory, a script for a model."""

import asyncio
import hashlib
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import msgspec
import yaml
from fastapi import FastAPI
from httpx2 import Response
from starlette.testclient import TestClient

from deploy.keys import create_key
from deploy.pinboard import read_pinboard
from deploy.pins import Pin, Pins
from gateway.app import Outside, open_parts
from gateway.health.readiness import Readiness
from gateway.limits.admission import Limits
from gateway.parts import Opening, Parts
from gateway.release import ModelVersion
from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics
from retrieval.acl import Access
from retrieval.catalog import Catalog, Content, Document, Entry, Holding
from retrieval.embed import HASH, HashEmbedder
from retrieval.errors import IndexNotSealed
from retrieval.index import Chunker, Embedding, IndexRecipe
from retrieval.ingest.blocks import PARSER, Block
from retrieval.ingest.chunk import CHUNKER
from retrieval.ingest.prepared import Parser, content_digest, described_digest
from retrieval.live import LiveIndex
from retrieval.opening import sealed_place
from retrieval.sparse import Bm25Encoder
from retrieval.store import ChunkPoint, ChunkRef, ChunkStore
from retrieval.stores.memory_store import MemoryStore
from serving.generator import GenerationRequest
from serving.manifest import GroundingRule, ModelManifest, Price, Rewriting, load_manifest, manifest_name
from serving.scripted import Script, ScriptedGenerator, pieces_of

BOARD = read_pinboard(Path(__file__).parent.parent.parent / "deploy" / "releases.yaml")
PINNED = load_manifest(BOARD.model_manifest())
DIMENSIONS = 256

REFUND = "Customers may ask for a refund within 45 days of purchase."
PAYOUT = "The refund is paid out within 10 working days."
SALARY = "The salary band for engineers is 61000 to 78000 pounds."
VACATION = "Every employee has 27 days of annual leave."
OTHER_REFUND = "Customers may ask for a refund within 90 days of purchase."
REFUND_QUESTION = "Within how many days may customers ask for a refund?"
STAFF, HR = Access("acme", frozenset({"group:staff"})), Access("acme", frozenset({"group:hr"}))


@dataclass(frozen=True)
class Part:
    """A chunk: words of the stored text, and where a reader finds them."""

    words: str
    heading: tuple[str, ...] = ()
    page: int | None = None
    header: str = ""


@dataclass(frozen=True)
class Seeded:
    """One document of the little corpus; its parts stand somewhere in its text."""

    id: str
    text: str
    access: Access
    parts: tuple[Part, ...]
    category: str | None = None
    updated: date | None = None
    blocks: bytes = b""
    source: str | None = None

    @property
    def version(self) -> str:
        """Named by the content, as ingestion does it."""
        return f"sha256:{hashlib.sha256(self.text.encode()).hexdigest()}"


CORPUS = (
    Seeded(
        "policies/refunds.md",
        f"# Rückgaben 📦\n\n## Deadlines\n\n{REFUND}\n\n## Paying out\n\n{PAYOUT}\n",
        STAFF,
        (Part(REFUND, ("Rückgaben 📦", "Deadlines")), Part(PAYOUT, ("Rückgaben 📦", "Paying out"))),
        "policy",
        date(2026, 3, 1),
    ),
    Seeded("handbook.pdf", f"Handbook\n{VACATION}\n", STAFF, (Part(VACATION, (), 3),), "handbook", date(2024, 5, 1)),
    Seeded("hr/salaries.md", SALARY, HR, (Part(SALARY),), "hr", date(2026, 1, 1)),
    Seeded(
        "policies/refunds.md",
        f"Elsewhere.\n{OTHER_REFUND}\n",
        Access("other", frozenset({"group:staff"})),
        (Part(OTHER_REFUND),),
        "policy",
        date(2026, 3, 1),
    ),
)
CALLERS: dict[str, tuple[str, list[str], list[str]]] = {
    "ana": ("acme", ["staff"], ["ask", "search"]),
    "hanneke": ("acme", ["staff", "hr"], ["ask", "search"]),
    "eve": ("acme", [], ["ask", "search"]),
    "oscar": ("other", ["staff"], ["ask", "search"]),
    "searcher": ("acme", ["staff"], ["search"]),
    "asker": ("acme", ["staff"], ["ask"]),
}


@dataclass
class Model:
    """What the scripted model says next.

    Before each piece it waits `pause` seconds and for `gate`, or fails with `fault`, where set.
    """

    script: Script = field(default_factory=Script)
    gate: asyncio.Event | None = None
    fault: Exception | None = None
    pause: float = 0.0

    def says(self, text: str) -> None:
        """Answer with these words, as a model streams them."""
        self.script = Script(pieces_of(text))

    def __call__(self, request: GenerationRequest) -> Script:
        return self.script

    async def wait(self, seconds: float) -> None:
        """The pause before a piece."""
        if self.pause:
            await asyncio.sleep(self.pause)
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    name: str
    data: Any


@dataclass
class House:
    """A gateway on fakes, a key per caller, and what stands behind it. `app` serves once its lifespan is open.

    Each index version has a store in memory, which outlives the gateway; one whose name is in `broken` does not open,
    one in `slow` opens when its event is set. The engine answers to the names in `served`.
    """

    settings: Settings
    keys: dict[str, str]
    model: Model
    generator: ScriptedGenerator
    served: set[str]
    stores: dict[str, MemoryStore] = field(default_factory=dict)
    broken: dict[str, Exception] = field(default_factory=dict)
    slow: dict[str, asyncio.Event] = field(default_factory=dict)
    readiness: Readiness = field(default_factory=lambda: Readiness({}))
    app: FastAPI = field(default_factory=FastAPI)
    client: TestClient = field(init=False)
    limits: Limits = field(init=False)

    def pin(self, index: Pin, model: Pin) -> None:
        """Write `releases.yaml`, in one go: it is being followed."""
        self.release_as(yaml.safe_dump(msgspec.to_builtins(Pins(index, model))))

    def release_as(self, text: str) -> None:
        """Make this the content of `releases.yaml`."""
        draft = self.settings.releases.with_suffix(".draft")
        draft.write_text(text, "utf-8")
        draft.replace(self.settings.releases)

    def describe(self, version: IndexRecipe | ModelManifest) -> str:
        """File a version's description beside `releases.yaml`; its name."""
        versions = self.settings.releases.parent / "versions"
        versions.mkdir(exist_ok=True)
        text = yaml.safe_dump(msgspec.to_builtins(version), sort_keys=False)
        (versions / f"{version.name}.yaml").write_text(text, "utf-8")
        return version.name

    def reach(self, corpus: Sequence[Seeded]) -> Outside:
        """What stands behind the gateway; the corpus is there before the first index version is opened."""
        self.generator = _scripted(self.model, self.served)

        async def open_index(recipe: IndexRecipe, catalog: Catalog, parser: Parser) -> LiveIndex:
            if not await catalog.sequences():
                await seed(
                    corpus, pinned_recipe(), catalog, self.stores.setdefault(pinned_recipe().name, MemoryStore())
                )
            if (fault := self.broken.get(recipe.name)) is not None:
                raise fault
            if (ready := self.slow.get(recipe.name)) is not None:
                await ready.wait()
            if await sealed_place(recipe, catalog) is None:
                raise IndexNotSealed(f"index {recipe.name!r} is not built")
            return LiveIndex(recipe, self.stores.setdefault(recipe.name, MemoryStore()), catalog, parser)

        def open_model(manifest: ModelManifest) -> ModelVersion:
            return ModelVersion(manifest, self.generator, lambda text: len(text.split()))

        return Outside(open_index, open_model, self.generator)

    def headers(self, caller: str) -> dict[str, str]:
        """Who asks."""
        return {"authorization": f"Bearer {self.keys[caller]}"}

    def post(self, path: str, body: object, caller: str = "ana", **headers: str) -> Response:
        """Send JSON as one of the callers."""
        return self.client.post(path, json=body, headers=self.headers(caller) | headers)

    def ask(self, question: str = REFUND_QUESTION, caller: str = "ana", **fields: object) -> Response:
        """The native API."""
        return self.post("/v1/answer", {"question": question, **fields}, caller)

    def chat(self, question: str = REFUND_QUESTION, caller: str = "ana", **fields: object) -> Response:
        """The OpenAI-compatible API."""
        messages = [{"role": "user", "content": question}]
        return self.post("/v1/chat/completions", {"model": "twinpin", "messages": messages, **fields}, caller)

    def search(self, query: str = REFUND_QUESTION, caller: str = "ana", **fields: object) -> Response:
        """Finding only."""
        return self.post("/v1/search", {"query": query, **fields}, caller)

    def count(self, name: str, **labels: str) -> float:
        """All samples of `/metrics` that have this name and at least these labels, together."""
        wanted = {f'{label}="{value}"' for label, value in labels.items()}
        samples = [(key.partition("{"), value) for key, value in self.metrics().items()]
        return sum(value for (named, _, told), value in samples if named == name and wanted <= set(_labels(told)))

    def metrics(self) -> dict[str, float]:
        """Every sample of `/metrics`, by its name and labels."""
        lines = self.client.get("/metrics").text.splitlines()
        return {key: float(value) for key, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def _labels(told: str) -> list[str]:
    return re.findall(r'\w+="[^"]*"', told)


def events(body: bytes | str) -> list[Event]:
    """Named events of a stream; the frames have to be exactly right."""
    text = body if isinstance(body, str) else body.decode()
    assert text.endswith("\n\n")
    return [_event(frame) for frame in text[:-2].split("\n\n")]


def chunks(body: bytes | str) -> list[Any]:
    """The `data:` payloads of an OpenAI stream; `[DONE]` stays a string."""
    text = body if isinstance(body, str) else body.decode()
    assert text.endswith("\n\n")
    payloads = [frame.removeprefix("data: ") for frame in text[:-2].split("\n\n")]
    return [payload if payload == "[DONE]" else json.loads(payload) for payload in payloads]


def _event(frame: str) -> Event:
    name, data = frame.split("\n")
    return Event(name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))


def pinned_recipe() -> IndexRecipe:
    """The pinned recipe with an embedder that needs no model, and figures that tuning does not touch."""
    embedder = Embedding(HASH, "", "", DIMENSIONS)
    pinned = BOARD.recipes[BOARD.pins.index.stable]
    return msgspec.structs.replace(
        pinned,
        label="test",
        parser=PARSER,
        chunker=Chunker(CHUNKER, 200, "heading"),
        embedder=embedder,
        reranker=None,
        candidates=20,
        passages=3,
        abstain_below=0.2,
        abstain_coverage=0.0,
        abstain_weakest=0.0,
        freshness={"aged": 730},
    )


def pinned_manifest(label: str = "test", **changed: Any) -> ModelManifest:
    """The pinned model version, likewise."""
    prompt = replace(PINNED.prompt, abstention="I do not know.")
    manifest = replace(
        PINNED,
        prompt=prompt,
        grounding=GroundingRule(0.6),
        context_tokens=2_000,
        answer_tokens=96,
        output_schema=None,
        price=Price(1.0, 2.0),
        rewrite=Rewriting(),
    )
    manifest = replace(manifest, **changed)
    fields = msgspec.to_builtins(manifest)
    del fields["name"]
    return replace(manifest, name=manifest_name(label, fields))


def make_house(folder: Path, **settings: Any) -> House:
    """Keys, settings and fakes; `opening` makes the parts of them."""
    model, served = Model(), {pinned_manifest().served_name}
    opened = Settings(data=folder, releases=folder / "releases.yaml", **settings)
    house = House(opened, _hand_out(opened.keys), model, _scripted(model, served), served)
    house.pin(Pin(house.describe(pinned_recipe())), Pin(house.describe(pinned_manifest())))
    return house


def _scripted(model: Model, served: set[str]) -> ScriptedGenerator:
    return ScriptedGenerator(model, models=served, delay=1.0, sleep=model.wait)


def _hand_out(path: Path) -> dict[str, str]:
    """A key for each caller: the same ones in each new file, as making them takes longer than most tests."""
    if path.exists():
        return dict(make_keys(path, list(CALLERS)))
    keys, written = _keys()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    path.write_bytes(written)
    return dict(keys)


@cache
def _keys() -> tuple[dict[str, str], bytes]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "keys.yaml"
        return dict(make_keys(path, list(CALLERS))), path.read_bytes()


def make_keys(path: Path, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """A key in the file for each caller."""
    for name in names:
        tenant, groups, scopes = CALLERS[name]
        yield name, create_key(path, tenant=tenant, subject=name, groups=groups, scopes=scopes)


def opening(house: House, corpus: Sequence[Seeded] = CORPUS) -> Opening:
    """The parts of a gateway, made of the house's fakes and a catalog of its own."""

    @asynccontextmanager
    async def opened(settings: Settings, metrics: Metrics) -> AsyncIterator[Parts]:
        if corpus is CORPUS:
            _furnish(house)
        async with open_parts(settings, metrics, lambda *_: house.reach(corpus)) as parts:
            house.limits, house.readiness = parts.limits, parts.readiness
            yield parts

    return opened


def _furnish(house: House) -> None:
    """Give a new house a copy of a catalog and a store that were seeded once."""
    catalog, name = house.settings.catalog, pinned_recipe().name
    if isinstance(catalog, Path) and not catalog.exists() and name not in house.stores:
        written, store = _seeded()
        catalog.write_bytes(written)
        house.stores[name] = deepcopy(store)


@cache
def _seeded() -> tuple[bytes, MemoryStore]:
    with TemporaryDirectory() as folder, ThreadPoolExecutor(1) as aside:  # where no event loop is
        path, store = Path(folder) / "catalog.db", MemoryStore()
        aside.submit(asyncio.run, _seed_once(path, store)).result()
        return path.read_bytes(), store


async def _seed_once(path: Path, store: MemoryStore) -> None:
    async with Catalog.open(path) as catalog:
        await seed(CORPUS, pinned_recipe(), catalog, store)


async def seed(corpus: Sequence[Seeded], recipe: IndexRecipe, catalog: Catalog, store: ChunkStore) -> None:
    """Write a corpus to catalog and store, each part as a chunk, and seal it as a build of the recipe."""
    embedder, bm25, entries = HashEmbedder(DIMENSIONS), Bm25Encoder(recipe.bm25), []
    for one in corpus:
        source = one.source or one.id
        document = Document(one.id, one.version, one.id, source, one.category, one.updated, None, one.access)
        points, blocks = [], []
        for part in one.parts:
            start = one.text.index(part.words)
            blocks.append(Block("paragraph", start, start + len(part.words), part.heading, part.page))
            end = start + len(part.words)
            ref = ChunkRef(one.id, one.version, start, end, part.heading, part.page, part.header)
            dense = embedder.embed([part.words])[0]
            points.append(ChunkPoint(ref, one.access, one.category, one.updated, dense, bm25.document(part.words)))
        await store.upsert(points)
        held = Holding(content_digest(document, recipe), described_digest(document), len(points), 10.0)
        content = Content(recipe.parser, one.text, one.blocks or msgspec.json.encode(blocks))
        entries.append(Entry(document, content, one.text.encode(), {recipe.name: held}))
    await catalog.put(entries)
    await LiveIndex(recipe, store, catalog).seal("memory")


def stored(tenant: str, document: str, version: str) -> str:
    """The text that the catalog holds of a version."""
    return next(one.text for one in CORPUS if (one.access.tenant, one.id, one.version) == (tenant, document, version))


DROPPED = "DROP TABLE documents"
REFUSING = {
    "sqlite": "CREATE TRIGGER refusing BEFORE INSERT ON documents BEGIN SELECT RAISE(ABORT, 'no'); END",
    "postgresql": "ALTER TABLE documents ADD CHECK (id = '') NOT VALID",  # whose errors quote the row
}


def break_catalog(catalog: Path | str, statement: str = DROPPED) -> None:
    """Change the catalog's database under a running gateway; by default its documents are taken away."""
    if isinstance(catalog, Path):
        with sqlite3.connect(catalog) as database:
            database.execute(statement)
        database.close()
    else:
        asyncio.run(_told(catalog, statement))


def refuse_documents(catalog: Path | str) -> None:
    """Have the database take no document any more."""
    break_catalog(catalog, REFUSING["sqlite" if isinstance(catalog, Path) else "postgresql"])


async def _told(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()
