"""The signed head only ever goes on, whoever writes it at once, and is whole after a power failure."""

import errno
import multiprocessing
import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from retrieval.errors import CatalogError, ReceiptInvalid
from retrieval.receipt import Signer
from retrieval.records.chain import Head
from retrieval.records.heads import HeadFile

DIGEST = "0" * 64


@pytest.fixture
def heads(tmp_path: Path) -> HeadFile:
    made = HeadFile(tmp_path / "records" / "head.jws", Signer(tmp_path / "signing-key.pem"))
    made.signer.public_key()
    return made


def write_some(heads: HeadFile, seed: int) -> None:
    """In any order, as batches of several writers come."""
    sequences = list(range(1 + seed, 161, 8))
    random.Random(seed).shuffle(sequences)
    for sequence in sequences:
        heads.write(Head(sequence, DIGEST))


def test_threads_at_once_leave_the_furthest_head(heads: HeadFile) -> None:
    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(write_some, heads, seed) for seed in range(8)]:
            done.result()
    assert heads.read() == Head(160, DIGEST)


def test_processes_at_once_leave_the_furthest_head(heads: HeadFile) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_some, args=(heads, seed)) for seed in range(8)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert [one.exitcode for one in writers] == [0] * 8
    assert heads.read() == Head(160, DIGEST)


def test_a_head_is_on_the_disk_before_it_takes_the_place_of_the_last(
    heads: HeadFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads.write(Head(1, DIGEST))

    def fails(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fails)
        with pytest.raises(CatalogError, match="head of the records"):
            heads.write(Head(2, DIGEST))
    assert heads.read() == Head(1, DIGEST)
    heads.write(Head(2, DIGEST))
    assert heads.read() == Head(2, DIGEST)


@pytest.mark.parametrize("forged", [b"", b"\xff\x00", b"a.b.c"])
def test_what_was_not_signed_here_stays_until_it_is_taken_away(heads: HeadFile, forged: bytes) -> None:
    heads.write(Head(1, DIGEST))
    heads.path.write_bytes(forged)
    with pytest.raises(ReceiptInvalid):
        heads.write(Head(2, DIGEST))
    assert heads.path.read_bytes() == forged
    heads.path.unlink()
    heads.write(Head(3, DIGEST))
    assert heads.read() == Head(3, DIGEST)
