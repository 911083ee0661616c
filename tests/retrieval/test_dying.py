"""A writer that dies at any call to catalog or store, at every one in turn, leaves the old state or the new one."""

import inspect
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from types import MethodType
from typing import Any

import pytest

from retrieval.catalog import Catalog
from retrieval.documents import Documents
from retrieval.errors import DocumentMissing
from retrieval.ingest.parse import parse
from retrieval.live import LiveIndex
from retrieval.preflight import passed, preflight
from retrieval.stores.memory_store import MemoryStore
from tests.retrieval.shelf import ANA, HANNEKE, HR, RECIPE, STAFF, WIDER, Open, PlainParser, Shelf, new

OLD = "# Old\n\n" + " ".join(f"refund old {n}." for n in range(8))
NEW = "# New\n\n" + " ".join(f"refund new {n}." for n in range(12))


WHOLE = {"".join(parse("a.md", text.encode()).text.split()) for text in (OLD, NEW)}


class Death(BaseException):
    """kill -9."""


@dataclass
class Mortal:
    """Passes calls on until `left` is used up; the call that dies is not made, or is made and not answered."""

    inner: Any
    fate: "Fate"

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if not callable(found) or name in ("close", "writing", "finder"):
            return found
        if inspect.isasyncgenfunction(found):
            return MethodType(found.__func__, self)  # the calls that it makes are those to die at

        async def call(*args: Any, **named: Any) -> Any:
            self.fate.before()
            result = await found(*args, **named)
            self.fate.after()
            return result

        return call


@dataclass
class Fate:
    """Counts calls; dies at one of them."""

    dies_at: int | None = None
    answered: bool = False
    calls: int = field(default=0)

    def before(self) -> None:
        self.calls += 1
        if self.calls == self.dies_at and not self.answered:
            raise Death

    def after(self) -> None:
        if self.calls == self.dies_at and self.answered:
            raise Death


@dataclass
class World:
    """A catalog file and two stores that outlive every process."""

    folder: Path
    stores: tuple[MemoryStore, MemoryStore] = field(default_factory=lambda: (MemoryStore(), MemoryStore()))

    def copy(self, folder: Path) -> "World":
        """The same state once more."""
        shutil.copyfile(self.folder.with_suffix(".db"), folder.with_suffix(".db"))
        return World(folder, deepcopy(self.stores))

    @asynccontextmanager
    async def process(self, fate: Fate) -> AsyncIterator[Shelf]:
        """A process on them: it follows first, as every process does."""
        async with Catalog.open(self.folder.with_suffix(".db")) as real:
            parser, opened = PlainParser(), Open()
            catalog: Any = Mortal(real, fate)
            made = Shelf(self.folder, real, opened, Documents(catalog, opened, parser), parser)
            for recipe, store in zip((RECIPE, WIDER), self.stores, strict=True):
                opened.indexes.append(LiveIndex(recipe, Mortal(store, fate), catalog, parser))
            yield made


async def _put_new(made: Shelf) -> None:
    await made.documents.put([new("new.md", NEW)])


async def _update(made: Shelf) -> None:
    await made.documents.put([new("a.md", NEW)])


async def _narrow_with_content(made: Shelf) -> None:
    await made.documents.put([new("a.md", NEW, HR)])


async def _grant(made: Shelf) -> None:
    await made.documents.grant("acme", "a.md", HR)


async def _delete(made: Shelf) -> None:
    try:
        await made.documents.delete("acme", "a.md")
    except DocumentMissing:
        assert await made.catalog.tombstone("acme", "a.md"), "it was acknowledged, or nearly"


async def _revert(made: Shelf) -> None:
    known = await made.catalog.get("acme", "b.md")
    first = (await made.catalog.history("acme", "b.md"))[-1].document.version
    if known is not None and known.version != first:
        await made.documents.revert("acme", "b.md", first)


async def _follow(made: Shelf) -> None:
    await made.open.indexes[1].follow()


OPERATIONS: dict[str, tuple[Callable[[Shelf], Awaitable[None]], dict[str, str], dict[str, str]]] = {
    "put": (_put_new, {"a.md": OLD, "b.md": NEW, "new.md": NEW}, {}),
    "update": (_update, {"a.md": NEW, "b.md": NEW}, {}),
    "content and fewer readers": (_narrow_with_content, {"b.md": NEW}, {"a.md": NEW}),
    "access": (_grant, {"b.md": NEW}, {"a.md": OLD}),
    "delete": (_delete, {"b.md": NEW}, {}),
    "revert": (_revert, {"a.md": OLD, "b.md": OLD}, {}),
    "build": (_follow, {"a.md": OLD, "b.md": NEW}, {}),
}


@pytest.mark.parametrize("answered", [False, True], ids=["call not made", "call not answered"])
@pytest.mark.parametrize("name", OPERATIONS)
async def test_dying_at_every_call_is_mended_by_asking_again(tmp_path: Path, name: str, answered: bool) -> None:
    operation, staff, hr = OPERATIONS[name]
    begun = await _begun(tmp_path / "begun")
    calls = await _calls(begun.copy(tmp_path / "counted"), operation)
    assert calls > 4
    for dies_at in range(1, calls + 1):
        world = begun.copy(tmp_path / str(dies_at))
        async with world.process(Fate(dies_at, answered)) as made:
            with pytest.raises(Death):
                await operation(made)
        async with world.process(Fate()) as made:
            await _require_whole_texts(made)
            for index in made.open.indexes:
                await index.follow()
            await _require_whole_texts(made)
            await operation(made)
            for index in made.open.indexes:
                await index.follow()
                assert await _shown(made, index, ANA) == staff
                assert await _shown(made, index, HANNEKE) == hr
                checks = [check for check in await preflight(index) if check.name != "sealed by this recipe"]
                assert passed(checks), checks


async def _begun(folder: Path) -> World:
    world = World(folder)
    async with world.process(Fate()) as made:
        await made.documents.put([new("a.md", OLD), new("b.md", OLD)])
        await made.documents.put([new("b.md", NEW)])
    return world


async def _calls(world: World, operation: Callable[[Shelf], Awaitable[None]]) -> int:
    fate = Fate()
    async with world.process(fate) as made:
        await operation(made)
    return fate.calls


async def _shown(made: Shelf, index: LiveIndex, who: Any) -> dict[str, str]:
    """Which text of which document is found, by the word that only one of the two has."""
    found = await made.find("refund old new", who, index)
    return {one.passage.ref.document: NEW if "new" in one.passage.text.lower() else OLD for one in found}


async def _require_whole_texts(made: Shelf) -> None:
    """Under the version that takes traffic every document is at one version, with all of its chunks."""
    index = made.open.indexes[0]
    for who in (ANA, HANNEKE):
        pieces: dict[str, list[tuple[int, str]]] = {}
        for one in await made.find("refund old new", who, index):
            pieces.setdefault(one.passage.ref.document, []).append((one.passage.ref.start, one.passage.text))
        for document, parts in pieces.items():
            assert "".join("".join(text for _, text in sorted(parts)).split()) in WHOLE, document


def test_the_two_access_lists_differ() -> None:
    assert STAFF.allow.isdisjoint(HR.allow)
