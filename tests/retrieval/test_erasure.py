"""An erasure leaves no byte behind that can be looked for, and a receipt that cannot be changed unseen."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from retrieval.building import build
from retrieval.erasure import Eraser, Subject
from retrieval.errors import DocumentMissing, ErasureIncomplete, ReceiptInvalid, StoreError
from retrieval.live import silent
from retrieval.opening import drop_index
from retrieval.receipt import Erased, Signer
from retrieval.sql.ingestions import Ingestions
from retrieval.stores.edge_store import EdgeStore
from tests.retrieval.shelf import RECIPE, WIDER, Shelf, new, shelf

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = "The merger with Halvorsen closes on the fourth of May"
TEXT = (
    f"# Project Nightjar Owlet\n\n{SECRET}.\n\n"
    "## Terms of Tamarind\n\nThe price is thirty-one million and four thousand.\n"
)
TRACES = (SECRET, "Nightjar Owlet", "Terms of Tamarind", "boards/nightjar.md", "thirty-one million")


def eraser(made: Shelf) -> Eraser:
    return Eraser(made.documents, made.place, Signer(made.folder / "signing.key"), lambda: NOW)


def traces(folder: Path) -> set[str]:
    """Looked for by reading every file, and by no scan of the product."""
    held = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    return {trace for trace in TRACES if trace.encode() in held}


async def test_no_byte_is_left_in_catalog_index_dormant_index_or_queue(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put(
            [new("boards/nightjar.md", "An older text: " + SECRET), new("other.md", "Lunch is at noon.")]
        )
        await made.documents.put([new("boards/nightjar.md", TEXT)])
        await build(WIDER, made.place, made.catalog, made.parser, silent)
        waiting = msgspec.msgpack.encode(new("boards/nightjar.md", TEXT))
        await Ingestions(made.catalog).accept("acme", "ana", [("boards/nightjar.md", waiting)])
        assert traces(tmp_path) == set(TRACES), "the control"
        await made.documents.delete("acme", "boards/nightjar.md")
        assert traces(tmp_path), "deleting is not erasing"
        signed = await eraser(made).erase("acme", "boards/nightjar.md")
        assert {one.store for one in signed.receipt.stores} == {"catalog", RECIPE.name, WIDER.name}
        assert all(one.found == 0 for one in signed.receipt.stores)
        assert await made.shown("lunch noon") == {"other.md"}
        await made.index.require_whole()
    assert traces(tmp_path) <= {"boards/nightjar.md"}, "the tombstone keeps the id, and nothing else"


async def test_the_catalog_stays_whole_when_others_come_and_go_after_an_erasure(tmp_path: Path) -> None:
    """Who reads a file of SQLite's in its own process and closes it has given SQLite's locks away."""
    async with shelf(tmp_path) as made:
        await made.documents.put([new("boards/nightjar.md", TEXT), new("other.md", "Lunch is at noon.")])
        await eraser(made).erase("acme", "boards/nightjar.md")
        place = made.catalog.place
        assert place is not None
        log = place.with_name(f"{place.name}-wal")
        before = log.stat().st_ino
        look = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM documents').fetchall()"
        subprocess.run([sys.executable, "-c", look, str(place)], check=True)  # noqa: ASYNC221
        assert log.exists(), "another process took itself for the last one"
        assert log.stat().st_ino == before
        await made.documents.put([new("later.md", "Dinner is at eight.")])
        look = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT id FROM documents').fetchall())"
        seen = subprocess.run([sys.executable, "-c", look, str(place)], check=True, capture_output=True)  # noqa: ASYNC221
        assert b"later.md" in seen.stdout


async def test_the_scan_looks_for_words_that_are_the_documents_own(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put(
            [new("boards/nightjar.md", TEXT), new("copy.md", TEXT.replace("# Project", "# Copy of"))]
        )
        signed = await eraser(made).erase("acme", "boards/nightjar.md")
        assert all(one.scanned for one in signed.receipt.stores)
        assert await made.shown("merger halvorsen") == {"copy.md"}, "a copy is another document"


async def test_what_never_was_is_not_erased_and_what_is_erased_may_be_again(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        with pytest.raises(DocumentMissing):
            await eraser(made).erase("acme", "never.md")
        await made.documents.put([new("boards/nightjar.md", TEXT)])
        with pytest.raises(DocumentMissing):
            await eraser(made).erase("other", "boards/nightjar.md")
        first = await eraser(made).erase("acme", "boards/nightjar.md")
        again = await eraser(made).erase("acme", "boards/nightjar.md")
        assert again.receipt.sequence == first.receipt.sequence, "it is the same deletion"


async def test_a_store_that_holds_on_makes_the_erasure_incomplete_and_the_document_stays_gone(tmp_path: Path) -> None:
    class Cache:
        """A cache that forgets nothing."""

        async def erase(self, subject: Subject) -> Erased:
            return Erased("answer cache", "nothing", 10, 1, None)

    async with shelf(tmp_path) as made:
        await made.documents.put([new("boards/nightjar.md", TEXT)])
        with pytest.raises(ErasureIncomplete, match="answer cache"):
            await replace(eraser(made), others=[Cache()]).erase("acme", "boards/nightjar.md")
        assert await made.shown("merger halvorsen") == set()
        assert (await eraser(made).erase("acme", "boards/nightjar.md")).receipt.stores


async def test_an_erasure_that_is_asked_for_again_looks_for_the_same_words(tmp_path: Path) -> None:
    """The first attempt deleted them, and only it could read them."""

    class Slow:
        """Lets go when it is asked twice."""

        asked = 0

        async def erase(self, subject: Subject) -> Erased:
            self.asked += 1
            if self.asked == 1:
                raise StoreError("no room on /srv/somewhere")
            return Erased("slow", "at last", None, 0, NOW)

    async with shelf(tmp_path) as made:
        await made.documents.put([new("boards/nightjar.md", TEXT)])
        patient = replace(eraser(made), others=[Slow()])
        with pytest.raises(ErasureIncomplete) as incomplete:
            await patient.erase("acme", "boards/nightjar.md")
        assert "/srv" not in str(incomplete.value)
        sought = {one.store: one.sought for one in (await patient.erase("acme", "boards/nightjar.md")).receipt.stores}
        assert sought == {RECIPE.name: 5, "slow": 0, "catalog": 4}
        again = {one.store: one.sought for one in (await patient.erase("acme", "boards/nightjar.md")).receipt.stores}
        assert again == {RECIPE.name: 1, "slow": 0, "catalog": 0}, "of nothing that is kept, and it says so"


async def test_a_version_that_is_being_built_elsewhere_makes_it_incomplete(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put([new("boards/nightjar.md", TEXT)])
        await build(WIDER, made.place, made.catalog, made.parser, silent)
        elsewhere = EdgeStore.open(made.place.folder(WIDER.name), 64)
        with pytest.raises(ErasureIncomplete, match=WIDER.name):
            await eraser(made).erase("acme", "boards/nightjar.md")
        await elsewhere.close()
        signed = await eraser(made).erase("acme", "boards/nightjar.md")
        assert WIDER.name in {one.store for one in signed.receipt.stores}


async def test_a_version_that_was_given_the_document_and_is_nowhere_makes_it_incomplete(tmp_path: Path) -> None:
    """A build on a server that was never finished, for instance."""
    async with shelf(tmp_path) as made:
        await made.documents.put([new("boards/nightjar.md", TEXT)])
        held = await made.catalog.holding(RECIPE.name, "acme", "boards/nightjar.md")
        await made.catalog.hold("idx-elsewhere-01234567", {("acme", "boards/nightjar.md"): held})
        with pytest.raises(ErasureIncomplete, match="index drop idx-elsewhere-01234567"):
            await eraser(made).erase("acme", "boards/nightjar.md")
        await drop_index("idx-elsewhere-01234567", made.place, made.catalog)
        assert (await eraser(made).erase("acme", "boards/nightjar.md")).receipt.stores


async def test_a_receipt_says_when_retention_removes_what_nobody_can_scan(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put([new("boards/nightjar.md", TEXT)])
        signed = await replace(eraser(made), retention=timedelta(days=7)).erase("acme", "boards/nightjar.md")
        catalog = next(one for one in signed.receipt.stores if one.store == "catalog")
        assert catalog.until == NOW + timedelta(days=7)


async def test_a_receipt_verifies_and_a_changed_one_does_not(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put([new("boards/nightjar.md", TEXT)])
        signed = await eraser(made).erase("acme", "boards/nightjar.md")
    signer = Signer(tmp_path / "signing.key")
    assert signer.verify(signed.signature) == signed.receipt
    assert (tmp_path / "signing.key").stat().st_mode & 0o077 == 0
    for forged in _changed(signed.signature):
        with pytest.raises(ReceiptInvalid):
            signer.verify(forged)
    with pytest.raises(ReceiptInvalid):
        Signer(tmp_path / "another.key").verify(signed.signature)


def _changed(signature: str) -> Iterator[str]:
    header, payload, mark = signature.split(".")
    yield f"{header}.{payload[:-4]}AAAA.{mark}"
    yield f"{header}.{payload}.{mark[:-6]}AAAAAA"
    yield f"{header}.{payload}."
    yield "not a receipt"
