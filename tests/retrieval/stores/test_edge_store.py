"""What the embedded store promises beyond the contract: deleted bytes go, and a shard is whole whenever it dies."""

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import qdrant_edge as qe

from retrieval.errors import StoreError
from retrieval.fusion import Legs, fuse
from retrieval.index import Fusion
from retrieval.residue import scan
from retrieval.store import ChunkPoint, ChunkRef, HybridQuery, SparseVector
from retrieval.stores.edge_store import EdgeStore
from tests.contracts.stores import ANYTHING, HR, STAFF, reader

DIMENSIONS = 48
HEADING, DOCUMENT, DIGEST = b"Zyxomma7", b"Qhadrobel9", b"c0ffee5eed1234567890abcdef9876fe"


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[EdgeStore]:
    store = EdgeStore.open(directory, DIMENSIONS)
    try:
        yield store
    finally:
        await store.close()


def chunks(number: int, document: str = "doc", version: str = "1", heading: str = "H") -> list[ChunkPoint]:
    rng = random.Random(document)
    refs = [ChunkRef(document, f"sha256:{version}", n * 10, n * 10 + 10, (heading,), None) for n in range(number)]
    return [_chunk(rng, ref) for ref in refs]


def _chunk(rng: random.Random, ref: ChunkRef) -> ChunkPoint:
    dense = [rng.gauss(0, 3) for _ in range(DIMENSIONS)]
    terms = sorted(rng.sample(range(200), 12))
    return ChunkPoint(ref, STAFF, None, None, dense, SparseVector(terms, [rng.random() * 2 for _ in terms]))


def question(seed: int) -> HybridQuery:
    rng = random.Random(seed)
    return HybridQuery(
        [rng.gauss(0, 1) for _ in range(DIMENSIONS)], SparseVector(rng.sample(range(200), 5), [1.0] * 5), 40
    )


async def answers(store: EdgeStore) -> list[Legs]:
    return [await store.score(question(seed), reader("acme", "staff"), ANYTHING) for seed in range(40)]


def same(before: list[Legs], after: list[Legs]) -> bool:
    """The same chunks with the same scores; a merged or copied shard may add up BM25's terms in another order."""
    return [(legs.dense, legs.cosine) for legs in before] == [(legs.dense, legs.cosine) for legs in after] and all(
        dict(first.sparse) == pytest.approx(dict(second.sparse), rel=1e-6)
        for first, second in zip(before, after, strict=True)
    )


async def test_what_was_deleted_can_be_read_until_the_shard_is_rewritten(tmp_path: Path) -> None:
    needles = [HEADING, DOCUMENT, DIGEST]
    async with opened(tmp_path / "idx") as store:
        await store.upsert(chunks(30))
        await store.upsert(chunks(20, DOCUMENT.decode(), DIGEST.decode(), HEADING.decode()))
        assert await store.delete("acme", DOCUMENT.decode()) == 20
        await store.flush()
        await store.optimize()
        before = await answers(store)
        left = await store.residue(needles)
        assert left.found == 3, "the control: an engine's delete leaves the bytes"
        assert "30 chunks" in await store.rewrite()
        scanned = await store.residue(needles)
        assert (scanned.found, bool(scanned.scanned)) == (0, True)
        assert (await store.residue([b"doc", b"sha256:1"])).found == 2, "the control: the scan sees what is kept"
        assert same(before, await answers(store))
    async with opened(tmp_path / "idx") as store:
        assert (await store.residue(needles)).found == 0, "and not after a restart"


async def test_scores_of_a_rewritten_shard_are_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path / "idx") as store:
        for n in range(12):
            await store.upsert(chunks(100, f"doc-{n:02}"))
        before = await answers(store)
        await store.rewrite()
        assert await answers(store) == before, "to the last bit where nothing was deleted"
        for n in range(0, 12, 3):
            await store.delete("acme", f"doc-{n:02}")
        before = await answers(store)
        await store.rewrite()
        after = await answers(store)
        assert same(before, after)
        await store.rewrite()
        assert await answers(store) == after, "and to the last bit however often"
    async with opened(tmp_path / "idx") as store:
        assert await answers(store) == after, "and after a restart"


async def test_the_same_chunks_are_scored_the_same_in_another_shard(tmp_path: Path) -> None:
    seen = []
    for name in ("first", "second"):
        async with opened(tmp_path / name) as store:
            await store.upsert(chunks(300))
            seen.append(await answers(store))
    assert seen[0] == seen[1], "to the last bit"


async def test_what_deleted_chunks_took_is_given_back_once_it_is_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.stores.edge_store._MANY", 40)
    async with opened(tmp_path / "idx") as store:
        await store.upsert(chunks(60))
        before = await answers(store)
        await store.upsert(chunks(50, DOCUMENT.decode()))
        await store.delete("acme", DOCUMENT.decode())
        assert not await store.tidy(), "more is held than was deleted"
        await store.upsert(chunks(20, DOCUMENT.decode(), DIGEST.decode()))
        await store.delete("acme", DOCUMENT.decode())
        assert (await store.residue([DOCUMENT])).found, "the control: it is all still there"
        assert await store.tidy()
        assert not (await store.residue([DOCUMENT])).found
        assert same(before, await answers(store))
        assert not await store.tidy()
    async with opened(tmp_path / "few") as store:
        await store.upsert(chunks(39))
        await store.delete("acme", "doc")
        assert not await store.tidy(), "so few are not worth it"


async def test_questions_are_answered_while_a_shard_is_rewritten(tmp_path: Path) -> None:
    async with opened(tmp_path / "idx") as store:
        for n in range(15):
            await store.upsert(chunks(100, f"doc-{n}"))
        expected = await store.score(question(1), reader("acme", "staff"), ANYTHING)
        rewriting = asyncio.create_task(store.rewrite())
        turns = 0
        while not rewriting.done():
            assert await store.score(question(1), reader("acme", "staff"), ANYTHING) == expected
            turns += 1
            await asyncio.sleep(0)
        await rewriting
        assert turns >= 1_500 / 256


async def test_questions_are_answered_while_a_large_document_is_written(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        writing = asyncio.create_task(store.upsert(chunks(400)))
        turns = 0
        while not writing.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 4
        await writing


async def test_a_rewrite_during_which_somebody_writes_is_given_up(tmp_path: Path) -> None:
    async with opened(tmp_path / "idx") as store:
        await store.upsert(chunks(600))
        rewriting = asyncio.create_task(store.rewrite())
        await asyncio.sleep(0)
        await store.upsert(chunks(1, "late"))
        with pytest.raises(StoreError, match="meanwhile"):
            await rewriting
        assert (await store.holds("acme", "late"), await store.holds("acme", "doc")) == (1, 600)
        await store.rewrite()
        assert await store.count() == 601
    assert sorted(path.name for path in (tmp_path / "idx").iterdir()) == ["lock", "shard"]


async def test_a_rewrite_that_is_cancelled_leaves_the_shard_as_it_was(tmp_path: Path) -> None:
    async with opened(tmp_path / "idx") as store:
        await store.upsert(chunks(600))
        before = await answers(store)
        rewriting = asyncio.create_task(store.rewrite())
        await asyncio.sleep(0)
        rewriting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await rewriting
        assert await answers(store) == before
    async with opened(tmp_path / "idx") as store:
        assert same(before, await answers(store))
    assert sorted(path.name for path in (tmp_path / "idx").iterdir()) == ["lock", "shard"]


REWRITES = """
import asyncio, os, shutil, signal, sys
from pathlib import Path
from retrieval.stores.edge_store import EdgeStore

directory, dimensions, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
steps = 0

def dying(call):
    def step(*args, **kwargs):
        global steps
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return step

async def main():
    store = EdgeStore.open(directory, dimensions)
    for owner, name in ((Path, "rename"), (os, "fsync"), (os, "unlink"), (os, "rmdir"), (Path, "mkdir")):
        setattr(owner, name, dying(getattr(owner, name)))
    await store.rewrite()
    await store.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 6, 7, 9, 30])
async def test_a_rewrite_that_is_killed_leaves_a_whole_shard(tmp_path: Path, step: int) -> None:
    """Killed right before its nth change to the directory: whichever shard is found, it is all there, and alone."""
    async with opened(tmp_path / "idx") as store:
        await store.upsert([*chunks(300), *chunks(5, DOCUMENT.decode(), DIGEST.decode(), HEADING.decode())])
        await store.delete("acme", DOCUMENT.decode())
        before = await answers(store)
    command = [sys.executable, "-c", REWRITES, str(tmp_path / "idx"), str(DIMENSIONS), str(step)]
    died = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    async with opened(tmp_path / "idx") as store:
        await store.verify(DIMENSIONS)
        assert same(before, await answers(store))
        assert await store.count() == 300
        assert sorted(path.name for path in (tmp_path / "idx").iterdir()) == ["lock", "shard"]
        await store.rewrite()
        assert (await store.residue([HEADING, DOCUMENT, DIGEST])).found == 0


class LeakyBm25(EdgeStore):
    """The embedded store with the access filter gone from one leg."""

    def _query(self, *requests: qe.QueryRequest) -> list[list[tuple[int, float]]]:
        if len(requests) == 1:
            return super()._query(*requests)
        dense, sparse = requests
        return super()._query(dense, qe.QueryRequest(sparse.limit, query=sparse.query, params=sparse.params))


async def test_what_one_leg_leaks_gets_no_cosine_and_so_no_place(tmp_path: Path) -> None:
    (hidden,) = (replace(one, access=HR) for one in chunks(1, "hidden"))
    shown = chunks(1, "shown")
    store = LeakyBm25.open(tmp_path / "idx", DIMENSIONS)
    await store.upsert([hidden, *shown])
    terms = hidden.sparse.indices
    query = HybridQuery(hidden.dense, SparseVector(terms, [1.0] * len(terms)), 10)
    legs = await store.score(query, reader("acme", "staff"), ANYTHING)
    await store.close()
    assert hidden.id in dict(legs.sparse), "the control: it does leak"
    assert set(legs.cosine) == {shown[0].id}
    assert [one.chunk for one in fuse(legs, Fusion("convex", 0.5, 0.5))] == [shown[0].id]


async def test_a_deletion_that_leaves_something_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path / "idx") as store:
        await store.upsert(chunks(3))
        monkeypatch.setattr(store, "_update", lambda _: None)
        with pytest.raises(StoreError, match="3 chunks are still there"):
            await store.delete("acme", "doc")


async def test_a_shard_with_other_vectors_is_not_opened(tmp_path: Path) -> None:
    async with opened(tmp_path / "idx") as store:
        await store.upsert(chunks(1))
    with pytest.raises(StoreError, match="size"):
        EdgeStore.open(tmp_path / "idx", DIMENSIONS + 1)
    async with opened(tmp_path / "idx") as store:
        assert await store.count() == 1, "and it is neither changed nor locked by the attempt"


@pytest.mark.parametrize("field", ["tenant", "allow", "deny", "document", "updated"])
async def test_a_field_without_payload_index_does_not_pass(tmp_path: Path, field: str) -> None:
    async with opened(tmp_path / "idx") as store:
        await store.verify(DIMENSIONS)
    shard = qe.EdgeShard.load(str(tmp_path / "idx" / "shard"))
    shard.update(qe.UpdateOperation.delete_field_index(field))
    shard.close()
    async with opened(tmp_path / "idx") as store:
        with pytest.raises(StoreError, match=field):
            await store.verify(DIMENSIONS)


async def test_a_tenant_field_that_is_not_marked_as_one_does_not_pass(tmp_path: Path) -> None:
    async with opened(tmp_path / "idx") as store:
        await store.verify(DIMENSIONS)
    shard = qe.EdgeShard.load(str(tmp_path / "idx" / "shard"))
    shard.update(qe.UpdateOperation.delete_field_index("tenant"))
    shard.update(qe.UpdateOperation.create_field_index("tenant", qe.PayloadSchemaType.Keyword))
    shard.close()
    async with opened(tmp_path / "idx") as store:
        with pytest.raises(StoreError, match="tenant index"):
            await store.verify(DIMENSIONS)


def test_a_needle_is_found_over_block_borders_and_counted_once(tmp_path: Path) -> None:
    border = 1 << 20
    (tmp_path / "a").write_bytes(b"\0" * (border - 3) + b"needle" + b"\0" * border + b"other")
    (tmp_path / "b").write_bytes(b"needle")
    (tmp_path / "c").write_bytes(b"")
    paths = sorted(tmp_path.iterdir())
    size = sum(path.stat().st_size for path in paths)
    residue = scan(paths, [b"needle", b"other", b"absent", b"needle"])
    assert (residue.scanned, residue.found) == (size, 2)
    (tmp_path / "d").write_bytes(b"\0" * border + b"\0" * (border - 4) + b"abse" + b"nt")
    assert scan([tmp_path / "d"], [b"absent"]).found == 1
    with pytest.raises(ValueError, match="empty"):
        scan(paths, [b"needle", b""])
