"""A file that is replaced: whole, and for whom it is."""

import errno
import os
from pathlib import Path

import pytest

from retrieval.durable import OWNER, replace_file


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    for content in (b"a long one", b"short"):
        replace_file(path, content, OWNER)
        assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_disk_does_not_take_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "head.jws"
    replace_file(path, b"before")

    def fails(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fails)
        with pytest.raises(OSError, match="No space left"):
            replace_file(path, b"after")
    assert path.read_bytes() == b"before"
    replace_file(path, b"after")
    assert path.read_bytes() == b"after"
