"""A document can break its own parser process and nothing else."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.ingest import sandbox, worker
from retrieval.ingest.blocks import ParseError
from retrieval.ingest.parse import parse
from retrieval.ingest.sandbox import ParseLimits, ParserPool, SandboxError, parse_limited

LIMITS = ParseLimits(memory_bytes=512 << 20, cpu_seconds=10, wall_seconds=10.0)
SLOW = b"<p " + b" ".join(b"a%d=1" % number for number in range(200_000)) + b">words"

TAKEN_OVER = """
import os, socket, time
from retrieval.ingest.formats import plain
read = plain.read
deeds = {"connect": socket.socket, "fall silent": lambda: (os.closerange(3, 64), time.sleep(60))}
plain.read = lambda text: deeds[text]() if text in deeds else read(text)
"""


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


INTERPRETED = {
    "socket": "socket.socket()",
    "subprocess": "subprocess.run(['true'])",
    "fork": "os.fork()",
    "write": "open(victim, 'w').write('x')",
    "delete": "os.remove(victim)",
}
MACHINE_CODE = {
    "socket": "libc.socket(1, 1, 0)",
    "pair": "libc.sendto(pair.fileno(), b'x', 1, 0, b'\\1\\0/x', 4)",
    "fork": "libc.fork()",
    "exec": "libc.execv(b'/bin/true', None)",
    "spy": "libc.ptrace(16, parent, 0, 0)",
    "kill": "libc.kill(parent, 9)",
    "limits": "libc.prlimit(parent, 0, 0, 0)",
    "share": "libc.shmget(1, 4096, 0o1600)",
    "namespace": "libc.unshare(0x10000000)",
}
FILES = {
    "read": "libc.open(victim.encode(), 0)",
    "write": "libc.open(victim.encode(), 1)",
    "create": "libc.open((victim + '2').encode(), 0o101)",
    "delete": "libc.unlink(victim.encode())",
    "truncate": "libc.truncate(victim.encode(), 0)",
    "rename": "libc.rename(victim.encode(), (victim + '2').encode())",
    "mode": "libc.chmod(victim.encode(), 0)",
}
ALLOWED = {
    "thread": "threading.Thread(target=print).start()",
    "own signal": "print(libc.kill(os.getpid(), 0))",
    "own pair": "pair.send(b'x')",
}


def confined(code: str, victim: Path) -> subprocess.CompletedProcess[str]:
    """What comes of code that runs as a parser that was taken over would."""
    before = (
        "import ctypes, os, socket, subprocess, threading; from retrieval.ingest.worker import confine; "
        f"libc = ctypes.CDLL(None, use_errno=True); victim = {str(victim)!r}; parent = os.getppid(); "
        "pair, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); confine(); "
    )
    command = [sys.executable, "-c", before + code]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Path]:
    """A file that is whole, and alone, whatever was tried."""
    path = tmp_path / "victim"
    path.write_text("intact")
    yield path
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("intact", 0o644)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("escape", INTERPRETED)
def test_python_code_reaches_neither_network_nor_processes_nor_files(escape: str, victim: Path) -> None:
    ended = confined(INTERPRETED[escape], victim)
    refused = "PermissionError: a parser has no business" in ended.stderr
    assert refused or ended.returncode == -signal.SIGSYS


@pytest.mark.parametrize("escape", MACHINE_CODE)
def test_machine_code_that_reaches_for_network_or_processes_is_ended(escape: str, victim: Path) -> None:
    assert confined(MACHINE_CODE[escape], victim).returncode == -signal.SIGSYS


@pytest.mark.parametrize("escape", FILES)
def test_machine_code_opens_and_changes_no_file(escape: str, victim: Path) -> None:
    ended = confined(f"print({FILES[escape]}, os.strerror(ctypes.get_errno()))", victim)
    assert ended.stdout == "-1 Permission denied\n"


@pytest.mark.parametrize("need", ALLOWED)
def test_what_parsers_need_is_allowed(need: str, victim: Path) -> None:
    assert confined(ALLOWED[need], victim).returncode == 0


@pytest.fixture
def taken_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ParserPool]:
    """A pool whose parser does what some texts say."""
    (tmp_path / "retrieval").symlink_to(Path(worker.__file__).parents[1])
    (tmp_path / "sitecustomize.py").write_text(TAKEN_OVER)
    monkeypatch.setattr(sandbox, "_ROOT", tmp_path)
    with ParserPool(replace(LIMITS, wall_seconds=1.0)) as pool:
        assert_works(pool)
        yield pool


def test_an_attempt_to_connect_is_told_to_the_parent(taken_over: ParserPool) -> None:
    """The control for every suite that asserts that no document made the parser connect."""
    assert "network, programs or other processes" in refusal(taken_over, "x.txt", b"connect")
    assert_works(taken_over)


def test_a_worker_that_closes_its_pipes_and_goes_on_is_ended(taken_over: ParserPool) -> None:
    assert "longer than 1 s" in refusal(taken_over, "x.txt", b"fall silent")
    assert_works(taken_over)


def test_a_worker_ends_with_its_parent() -> None:
    """Even when the parent is killed and the worker is busy with a document."""
    code = (
        "import os, threading, time; from retrieval.ingest.sandbox import ParserPool; pool = ParserPool()\n"
        "pool.parse('x.txt', b'words'); print(*pool.processes, flush=True)\n"
        "slow = b'<p ' + b' '.join(b'a%d=1' % number for number in range(200_000)) + b'>words'\n"
        "threading.Thread(target=pool.parse, args=('slow.html', slow)).start(); time.sleep(0.3)\n"
        "os.kill(os.getpid(), 9)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    child = Path(f"/proc/{int(ended.stdout)}")
    deadline = time.monotonic() + 5
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(child)


def is_running(process: Path) -> bool:
    """Whether it exists and is more than an entry that nobody has collected."""
    try:
        return process.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_worker_does_not_inherit_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINPIN_SECRET", "do-not-tell")
    with ParserPool(LIMITS) as pool:
        environment = Path(f"/proc/{started(pool)}/environ").read_bytes()
    assert b"do-not-tell" not in environment
