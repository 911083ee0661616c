"""A document can break its own parser process and nothing else."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.ingest.blocks import ParseError
from retrieval.ingest.parse import parse
from retrieval.ingest.sandbox import ParseLimits, ParserPool, SandboxError, parse_limited

LIMITS = ParseLimits(memory_bytes=512 << 20, cpu_seconds=10, wall_seconds=10.0)
SLOW = b"<p " + b" ".join(b"a%d=1" % number for number in range(200_000)) + b">words"


@pytest.fixture(scope="module")
def pool() -> Iterator[ParserPool]:
    with ParserPool(LIMITS) as opened:
        yield opened


def refusal(pool: ParserPool, name: str, raw: bytes) -> str:
    with pytest.raises(ParseError) as caught:
        pool.parse(name, raw)
    return caught.value.reason


def started(pool: ParserPool) -> int:
    """The process of a pool of one."""
    assert_works(pool)
    (child,) = pool.processes
    return child


def assert_works(pool: ParserPool) -> None:
    assert pool.parse("after.txt", b"unaffected").text == "unaffected"


def test_the_result_is_that_of_parse(pool: ParserPool, refunds_pdf: bytes, refunds_docx: bytes) -> None:
    for name, raw in (("x.pdf", refunds_pdf), ("x.docx", refunds_docx), ("x.md", b"---\ncategory: a\n---\n# T\n\nw")):
        assert pool.parse(name, raw) == parse(name, raw)


def test_a_refusal_keeps_its_reason(pool: ParserPool) -> None:
    assert "not a PDF" in refusal(pool, "x.pdf", b"words")
    assert_works(pool)


def test_processor_time_is_limited() -> None:
    with ParserPool(replace(LIMITS, cpu_seconds=1)) as pool:
        assert "processor time" in refusal(pool, "slow.html", SLOW)
        assert_works(pool)


def test_wall_time_is_limited() -> None:
    with ParserPool(replace(LIMITS, wall_seconds=0.5)) as pool:
        started = time.monotonic()
        assert "longer than 0.5 s" in refusal(pool, "slow.html", SLOW)
        assert time.monotonic() - started < 5
        assert_works(pool)


def test_memory_is_limited() -> None:
    with ParserPool(replace(LIMITS, memory_bytes=160 << 20)) as pool:
        reason = refusal(pool, "wide.csv", b"a," * 12_000_000)
        assert "memory" in reason
        assert_works(pool)


def test_input_and_output_are_limited() -> None:
    with ParserPool(replace(LIMITS, input_bytes=4096, output_bytes=2048)) as pool:
        assert "larger than" in refusal(pool, "x.txt", b"x" * 5000)
        assert "text and blocks are larger" in refusal(pool, "x.txt", b"x" * 3000)
        assert_works(pool)


def test_a_process_that_is_killed_is_replaced() -> None:
    with ParserPool(LIMITS) as pool:
        child = started(pool)
        threading.Timer(0.3, os.kill, (child, 9)).start()
        assert "crashed" in refusal(pool, "slow.html", SLOW)
        os.kill(started(pool), 9)
        time.sleep(0.2)
        assert_works(pool)


def test_processes_are_reused_and_shared_between_threads() -> None:
    with ParserPool(LIMITS, workers=2) as pool, ThreadPoolExecutor(8) as threads:
        texts = [f"document {number}" for number in range(200)]
        parsed = list(threads.map(lambda text: pool.parse("x.txt", text.encode()).text, texts))
        assert parsed == texts
        assert len(pool.processes) == 2
        before = pool.processes
        assert_works(pool)
        assert pool.processes == before


def test_closing_leaves_no_process() -> None:
    with ParserPool(LIMITS) as pool:
        child = started(pool)
    assert pool.processes == ()
    assert not Path(f"/proc/{child}").exists()


def test_parse_limited() -> None:
    assert parse_limited("x.txt", b"words", LIMITS).text == "words"


@pytest.mark.parametrize("interpreter", ["/bin/false", "/nowhere"])
def test_a_parser_that_cannot_start_is_not_the_documents_fault(
    interpreter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", interpreter)
    with ParserPool(LIMITS) as pool, pytest.raises(SandboxError, match="does not start"):
        pool.parse("x.txt", b"words")


ESCAPES = {
    "socket": "import socket; socket.create_connection(('127.0.0.1', 9))",
    "subprocess": "import subprocess; subprocess.run(['true'])",
    "fork": "import os; os.fork()",
    "write": "open('{path}', 'w').write('x')",
    "delete": "import os; os.remove('{path}')",
}


@pytest.mark.parametrize("escape", ESCAPES)
def test_code_in_a_worker_reaches_neither_network_nor_processes_nor_files(escape: str, tmp_path: Path) -> None:
    """A stand-in for a parser that was taken over, confined as the worker confines itself."""
    victim = tmp_path / "victim"
    victim.write_text("intact")
    code = f"from retrieval.ingest.worker import confine; confine(1 << 30); {ESCAPES[escape].format(path=victim)}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "PermissionError: a parser has no business" in ended.stderr
    assert victim.read_text() == "intact"


def test_the_worker_does_not_inherit_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINPIN_SECRET", "do-not-tell")
    with ParserPool(LIMITS) as pool:
        environment = Path(f"/proc/{started(pool)}/environ").read_bytes()
    assert b"do-not-tell" not in environment
