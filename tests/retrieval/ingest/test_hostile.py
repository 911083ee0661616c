"""A thousand spoiled files and more than fifty bombs through the real sandbox: each ends as a document or a reason."""

import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from retrieval.ingest.blocks import Parsed, ParseError
from retrieval.ingest.sandbox import ParseLimits, ParserPool
from tests.retrieval.ingest.bombs import BOMBS, Originals
from tests.retrieval.ingest.mutations import mutate

MIB = 1 << 20
LIMITS = ParseLimits(memory_bytes=512 * MIB, cpu_seconds=1, wall_seconds=10.0, output_bytes=16 * MIB)
MUTATIONS = 100
FORMATS = ("md", "html", "txt", "csv", "ipynb", "docx", "pptx", "xlsx", "epub", "pdf")
ESCAPES = {"it made the parser ask for what no parser gets: network, programs or other processes"}
FAILURES = {"the parser failed on it (exit code 1)", "the parser gave a malformed answer", "a refusal without a reason"}

MARKDOWN = b"""---
title: Refunds
tags: [money, "customers"]
---
# Refunds

1. Ask [support](https://example.com) *within* `45` days
   - by **name**

| Region | Days |
|--------|-----:|
| Europe | 45 |

```python
refund(45)
```
<div><p>HTML &amp; more</p></div>
"""
HTML = b"""<!doctype html><html><head><title>Tab</title></head><body><main><h1>Refunds</h1><ol start="3"><li>one<ul><li>
two</ul></ol><table><tr><th colspan="2">Region<tr><td>Europe<td>45</table><pre> x</pre><p hidden>no</main></body>"""
PLAIN = "RUNBOOK\n\nSteps\n-----\nDo it \u00e0 la main.\n\n- one\n- two\n\n    pg_ctl promote\n".encode()


@pytest.fixture(scope="module")
def originals(
    refunds_docx: bytes,
    refunds_pptx: bytes,
    refunds_xlsx: bytes,
    refunds_epub: bytes,
    refunds_ipynb: bytes,
    refunds_pdf: bytes,
) -> Originals:
    """A small whole file of every format."""
    csv = b'Region,Days\n"Euro;pe","4""5"\n' * 5
    texts = {"md": MARKDOWN, "html": HTML, "txt": PLAIN, "csv": csv, "ipynb": refunds_ipynb}
    packages = {"docx": refunds_docx, "pptx": refunds_pptx, "xlsx": refunds_xlsx, "epub": refunds_epub}
    return {**texts, **packages, "pdf": refunds_pdf}


@pytest.fixture(scope="module")
def spoiled(originals: Originals) -> Mapping[str, list[bytes]]:
    """A hundred spoiled files of every format, the same every time."""
    return {name: [mutate(name, raw, number) for number in range(MUTATIONS)] for name, raw in originals.items()}


@pytest.fixture(scope="module")
def pool() -> Iterator[ParserPool]:
    """Two workers for all; no process of theirs is left at the end."""
    with ParserPool(LIMITS, workers=2) as opened:
        yield opened
        ended = [Path(f"/proc/{pid}") for pid in opened.processes]
    assert not [process for process in ended if process.exists()]


@pytest.fixture(scope="module")
def listener() -> Iterator[int]:
    """The port that hostile files point at; whoever connects to it has escaped."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server.getsockname()[1]
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.fixture(scope="module")
def outcome(pool: ParserPool, check: Callable[[Parsed], None]) -> Callable[[str, bytes], str]:
    """Parses, and gives the reason of a refusal, or nothing for a document, which is sound."""

    def take(name: str, raw: bytes) -> str:
        try:
            check(pool.parse(name, raw))
        except ParseError as error:
            return error.reason or "a refusal without a reason"
        return ""

    return take


@pytest.fixture(scope="module")
def endings(
    originals: Originals, listener: int, pool: ParserPool, outcome: Callable[[str, bytes], str]
) -> Mapping[str, str]:
    """How each bomb ended, two at a time; after each, a good file is parsed."""

    def end(bomb: str) -> str:
        name, make, _ = BOMBS[bomb]
        reason = outcome(name, make(originals, listener))
        assert pool.parse("after.txt", b"unaffected").text == "unaffected"
        return reason

    with ThreadPoolExecutor(2) as threads:
        return dict(zip(BOMBS, threads.map(end, BOMBS), strict=True))


def assert_confined(pool: ParserPool) -> None:
    """Each worker answers, and is under the kernel's filter, childless, with no file open."""
    with ThreadPoolExecutor(2) as threads:
        texts = threads.map(lambda text: pool.parse("x.txt", text).text, (b"unaffected",) * 8)
        assert set(texts) == {"unaffected"}
    for pid in pool.processes:
        process = Path(f"/proc/{pid}")
        status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
        assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
        assert [task.joinpath("children").read_text() for task in process.glob("task/*")] == [""]
        opened = {str(one.readlink()) for one in (process / "fd").iterdir()}
        assert not [one for one in opened if one.startswith("/") and one != "/dev/null"]


@pytest.mark.parametrize("name", FORMATS)
def test_spoiled_files_are_read_or_refused(
    name: str,
    originals: Originals,
    spoiled: Mapping[str, list[bytes]],
    pool: ParserPool,
    outcome: Callable[[str, bytes], str],
) -> None:
    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(lambda raw: outcome(f"x.{name}", raw), spoiled[name]))
    assert not set(outcomes) & (ESCAPES | FAILURES)
    assert outcome(f"x.{name}", originals[name]) == "", "what is whole is read as before"
    assert_confined(pool)


def test_there_are_a_thousand_spoiled_files(originals: Originals, spoiled: Mapping[str, list[bytes]]) -> None:
    assert sum(map(len, spoiled.values())) >= 1000
    assert spoiled.keys() == set(FORMATS)
    for name, files in spoiled.items():
        assert files[7] == mutate(name, originals[name], 7)
        assert len(set(files) - {originals[name]}) >= MUTATIONS * 4 // 5


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_read_or_refused(bomb: str, endings: Mapping[str, str]) -> None:
    reason, due = endings[bomb], BOMBS[bomb][2]
    assert any(one in reason if one else not reason for one in due), reason


def test_there_are_fifty_bombs_and_none_made_a_worker_reach_out(endings: Mapping[str, str], pool: ParserPool) -> None:
    assert len(endings) == len(BOMBS) >= 50
    assert not set(endings.values()) & (ESCAPES | FAILURES)
    assert_confined(pool)
