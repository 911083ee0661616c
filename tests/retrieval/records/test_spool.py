"""What the spool acknowledged is there after any end of the process; what it cannot take it refuses."""

import asyncio
import errno
import os
from pathlib import Path

import pytest
import structlog

from retrieval.errors import SpoolError
from retrieval.records import segments
from retrieval.records.record import Record
from retrieval.records.spool import Spool
from tests.retrieval.records.samples import answer

ROOMY = 1 << 20


async def drained(spool: Spool, most: int = 100) -> list[Record]:
    found: list[Record] = []
    while (taken := await spool.take(most)) is not None:
        found += taken.records
        await spool.release(taken)
    return found


async def test_records_come_out_as_they_went_in_and_give_their_space_back(tmp_path: Path) -> None:
    given = [answer(n) for n in range(9)]
    with Spool.open(tmp_path, ROOMY) as spool:
        for one in given[:5]:
            await spool.keep(one)
        for one in given[5:]:
            spool.put(one)
        await spool.settled()
        assert spool.used > 0
        assert await drained(spool, most=2) == given
        assert spool.used == 0
        assert sum(path.stat().st_size for path in spool.files()) == 0


async def test_many_at_once_are_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    with Spool.open(tmp_path, ROOMY) as spool:
        await asyncio.gather(*(spool.keep(answer(n)) for n in range(200)))
        assert len(await drained(spool, 500)) == 200
    assert 1 <= len(synced) <= 5


async def test_what_was_not_moved_is_there_for_the_next_process(tmp_path: Path) -> None:
    with Spool.open(tmp_path, ROOMY) as spool:
        for n in range(4):
            await spool.keep(answer(n))
        taken = await spool.take(2)
        assert taken is not None
        await spool.release(taken)
    with Spool.open(tmp_path, ROOMY) as spool:
        assert [one.id for one in await drained(spool)] == [f"ans_{n:04}" for n in range(4)], "two of them again"


async def test_processes_have_spools_of_their_own_and_take_over_those_of_the_dead(tmp_path: Path) -> None:
    with Spool.open(tmp_path, ROOMY) as one:
        with Spool.open(tmp_path, ROOMY) as other:
            await one.keep(answer(1))
            await other.keep(answer(2))
            assert one.folder != other.folder
        with Spool.open(tmp_path, ROOMY) as third:
            assert third.folder == other.folder
            assert [record.id for record in await drained(third)] == ["ans_0002"]
            await third.keep(answer(3))
        assert [record.id for record in await drained(one)] == ["ans_0001"]
    with Spool.open(tmp_path, ROOMY) as heir:
        assert [record.id for record in await drained(heir)] == ["ans_0003"]


async def test_a_full_spool_refuses_and_takes_again_when_it_has_room(tmp_path: Path) -> None:
    with Spool.open(tmp_path, 4_000) as spool:
        kept = 0
        while spool.has_room(1_000):
            await spool.keep(answer(kept))
            kept += 1
        with pytest.raises(SpoolError, match="bytes"):
            await asyncio.gather(*(spool.keep(answer(n)) for n in range(50, 60)))
        await spool.settled()
        assert kept > 2
        assert spool.used <= 4_000
        assert len(await drained(spool)) > kept
        await spool.keep(answer(100))


def damaged(spool: Spool) -> list[Path]:
    return [path for path in spool.files() if path.suffix == segments.DAMAGED]


@pytest.mark.parametrize("cut", [1, 5, 9, 100])
async def test_a_torn_end_is_no_record_and_is_kept_aside(tmp_path: Path, cut: int) -> None:
    """Nobody can tell it from a damaged frame that was acknowledged."""
    with Spool.open(tmp_path, ROOMY) as spool:
        for n in range(3):
            await spool.keep(answer(n))
        (path,) = spool.files()
        whole = path.read_bytes()
    os.truncate(path, len(whole) - cut)
    with structlog.testing.capture_logs() as logged, Spool.open(tmp_path, ROOMY) as spool:
        assert [one.id for one in await drained(spool)] == ["ans_0000", "ans_0001"]
        (aside,) = damaged(spool)
        assert whole.endswith(aside.read_bytes() + whole[-cut:]), "and nothing that was moved is with it"
        assert spool.used == 0
    assert [one["event"] for one in logged] == ["record_segment_damaged"]


async def test_zeros_at_the_end_are_what_a_power_failure_leaves(tmp_path: Path) -> None:
    with Spool.open(tmp_path, ROOMY) as spool:
        await spool.keep(answer(0))
        (path,) = spool.files()
    with path.open("ab") as file:
        file.write(bytes(4_096))
    with structlog.testing.capture_logs() as logged, Spool.open(tmp_path, ROOMY) as spool:
        assert [one.id for one in await drained(spool)] == ["ans_0000"]
        assert damaged(spool) == []
    assert [(one["event"], one["bytes"]) for one in logged] == [("record_segment_ends_in_zeros", 4_096)]


@pytest.mark.parametrize("end", [bytes(64), b"\0\0\0", b"\xff" * 64, segments.framed(b"x" * 500)[:90]])
async def test_what_is_kept_after_a_crash_does_not_stand_behind_its_torn_end(tmp_path: Path, end: bytes) -> None:
    with Spool.open(tmp_path, ROOMY) as spool:
        for n in range(3):
            await spool.keep(answer(n))
        (path,) = spool.files()
    with path.open("ab") as file:
        file.write(end)
    with structlog.testing.capture_logs(), Spool.open(tmp_path, ROOMY) as spool:
        for n in range(3, 8):
            await spool.keep(answer(n))
        assert [one.id for one in await drained(spool)] == [f"ans_{n:04}" for n in range(8)]
        assert spool.used == 0


async def test_records_before_one_that_this_release_does_not_know_are_moved(tmp_path: Path) -> None:
    with Spool.open(tmp_path, ROOMY) as spool:
        for n in range(2):
            await spool.keep(answer(n))
        (path,) = spool.files()
    with path.open("ab") as file:
        file.write(segments.framed(b"of another release"))
    with structlog.testing.capture_logs(), Spool.open(tmp_path, ROOMY) as spool:
        assert [one.id for one in await drained(spool)] == ["ans_0000", "ans_0001"]
        assert [one.read_bytes() for one in damaged(spool)] == [segments.framed(b"of another release")]


async def test_settling_does_not_wait_for_what_comes_meanwhile(tmp_path: Path) -> None:
    with Spool.open(tmp_path, ROOMY) as spool:
        more = True

        async def load() -> None:
            while more:
                await spool.keep(answer(2))

        spool.put(answer(1))
        loading = [asyncio.create_task(load()) for _ in range(3)]
        async with asyncio.timeout(5):
            end = await spool.end()
        assert 0 < end <= spool.used
        more = False
        await asyncio.gather(*loading)
        await drained(spool)
        assert spool.passed >= end


async def test_a_damaged_segment_is_kept_aside_and_told(tmp_path: Path) -> None:
    with Spool.open(tmp_path, ROOMY) as spool:
        for n in range(3):
            await spool.keep(answer(n))
        (path,) = spool.files()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with structlog.testing.capture_logs() as logged, Spool.open(tmp_path, ROOMY) as spool:
        assert [one.id for one in await drained(spool)] == ["ans_0000"]
        assert [one.suffix for one in spool.files()] == [segments.DAMAGED]
        assert damaged(spool)[0].stat().st_size == len(content) * 2 // 3
        await spool.keep(answer(7))
        assert [one.id for one in await drained(spool)] == ["ans_0007"]
    assert [one["event"] for one in logged] == ["record_segment_damaged"]


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EIO, errno.EROFS])
async def test_a_disk_that_fails_refuses_until_it_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: int
) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(fault, os.strerror(fault))

    with structlog.testing.capture_logs(), Spool.open(tmp_path, ROOMY) as spool:
        await spool.keep(answer(0))
        with monkeypatch.context() as broken:
            broken.setattr(os, "fdatasync", fails)
            broken.setattr(os, "fsync", fails)
            with pytest.raises(SpoolError, match=os.strerror(fault)):
                await spool.keep(answer(1))
            assert not spool.has_room()
            with pytest.raises(SpoolError):
                spool.put(answer(2))
            await spool.mend()
            assert not spool.has_room()
        await spool.mend()
        assert spool.has_room()
        await spool.keep(answer(3))
        assert [one.id for one in await drained(spool)] == ["ans_0000", "ans_0003"]


async def test_each_record_that_was_put_and_is_lost_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    lost: list[str] = []
    with structlog.testing.capture_logs(), Spool.open(tmp_path, ROOMY) as spool:
        spool.on_lost = lambda record, error: lost.append(f"{record.id}: {error}")
        monkeypatch.setattr(os, "fdatasync", fails)
        for n in range(3):
            spool.put(answer(n))
        with pytest.raises(SpoolError):
            await spool.keep(answer(3))
        await spool.settled()
    assert lost == [f"ans_{n:04}: {spool.trouble}" for n in range(3)], "who waits is told otherwise"


async def test_what_cannot_be_read_is_a_spool_error_and_stays(tmp_path: Path) -> None:
    with Spool.open(tmp_path, ROOMY) as spool:
        await spool.keep(answer(0))
        (path,) = spool.files()
        aside = path.rename(tmp_path / "aside")
        with pytest.raises(SpoolError):
            await spool.take(10)
        aside.rename(path)
        assert len(await drained(spool)) == 1


async def test_a_caller_who_stops_waiting_stops_nobody_else(tmp_path: Path) -> None:
    with Spool.open(tmp_path, ROOMY) as spool:
        waiting = [asyncio.create_task(spool.keep(answer(n))) for n in range(10)]
        await asyncio.sleep(0)
        waiting[3].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert len(await drained(spool)) == 10


async def test_a_folder_that_cannot_be_made_is_a_spool_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError), Spool.open(tmp_path / "file", ROOMY):
        pass


async def test_segments_do_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.records.spool._SEGMENT_BYTES", 2_000)
    with Spool.open(tmp_path, ROOMY) as spool:
        for n in range(20):
            await spool.keep(answer(n))
        assert len(spool.files()) > 3
        assert [one.id for one in await drained(spool)] == [f"ans_{n:04}" for n in range(20)]
        assert len(spool.files()) == 1
