"""What `make bench` measures the gateway by: callers, turns, the kernel's accounts, and what is beside the goals."""

import asyncio
import itertools
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.bench_cache import NothingKept, measure_hits
from deploy.bench_client import AnswerRefused, all_answered, get, post
from deploy.bench_documents import NUMBER, write_documents
from deploy.bench_litellm import LiteLLMMissing, install_litellm
from deploy.bench_process import cpu_seconds, memory_mib
from deploy.bench_rounds import Subject, in_turns
from deploy.bench_versus import ALONE, BARE, CORPUS, DIRECT, PROXY, measure_memory, measure_one_caller

WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n12\r\n" + b"d" * 18 + b"\r\n0\r\n\r\n"
REFUSED = b"HTTP/1.1 429 Too Many\r\ncontent-length: 9\r\n\r\ntoo often"


@asynccontextmanager
async def answering(answer: bytes, seen: Counter[bytes] | None = None) -> AsyncIterator[int]:
    """A port where every request gets the same answer."""

    served: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        while head := await reader.read(65_536):
            if seen is not None:
                seen[head] += 1
            writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*filter(None, served))


@pytest.mark.parametrize("answer", [WHOLE, STREAM])
async def test_callers_share_the_requests_and_read_each_answer_to_its_end(answer: bytes) -> None:
    seen: Counter[bytes] = Counter()
    requests = [post("/v1/answer", {"question": str(n)}, "key") for n in range(10)]
    async with answering(answer, seen) as port:
        taken = await all_answered(port, requests, 3)
    assert len(taken) == 10
    assert seen == Counter(requests)


async def test_what_is_refused_is_told_and_does_not_count_as_answered() -> None:
    async with answering(REFUSED) as port:
        with pytest.raises(AnswerRefused, match=r"429.*too often"):
            await all_answered(port, [post("/", {}, "key")], 1)


async def test_subjects_take_turns_and_the_first_round_does_not_count() -> None:
    order: list[str] = []

    def subject(name: str, port: int) -> Subject:
        def request() -> bytes:
            order.append(name)
            return post("/", {}, "key")

        return Subject(name, port, os.getpid(), request)

    async with answering(WHOLE) as port:
        taken = await in_turns([subject("a", port), subject("b", port)], rounds=2, requests=2, callers=1)
    assert order == list("aabb") * 3
    assert {name: len(one.each) for name, one in taken.items()} == {"a": 4, "b": 4}
    assert all(one.rate > 0 and one.p50_ms > 0 for one in taken.values())


async def test_a_hit_stands_beside_a_health_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.bench_cache._ROUNDS", 1)
    seen: Counter[bytes] = Counter()
    async with answering(b'HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{"cache":"hit"}', seen) as port:
        rows = await measure_hits(port, os.getpid(), "key", iter(["once", "twice"]))
    assert [row for row in rows if "goal" in row] == ["hit, p50 ms beyond a health check (goal ≤ 1)"]
    asked = post("/v1/answer", {"question": "once"}, "key")
    assert seen.keys() == {asked, get("/healthz")}
    assert seen[asked] == seen[get("/healthz")] + 2


async def test_where_every_answer_is_made_anew_there_is_no_hit_to_measure() -> None:
    async with answering(b'HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{"cache":"miss"}') as port:
        with pytest.raises(NothingKept, match="of 20 answers none was given again"):
            await measure_hits(port, os.getpid(), "key", itertools.repeat("again"))


@pytest.mark.parametrize("others", [[PROXY], []])
async def test_figures_stand_beside_the_goals_where_there_is_a_proxy(
    others: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's accounts go by hundredths of a second, which so few requests may not come to."""
    ticks = itertools.count()
    monkeypatch.setattr("deploy.bench_rounds.cpu_seconds", lambda pid: next(ticks) / 100)
    names = [DIRECT, *others, BARE, ALONE, CORPUS]
    async with answering(WHOLE) as port:
        subjects = [Subject(name, port, os.getpid(), lambda: post("/", {}, "key")) for name in names]
        ((section, rows),) = (await measure_one_caller("JSON", subjects)).items()
    assert section == "JSON, one caller"
    assert {f"{name}, CPU ms" for name in names[1:]} <= rows.keys()
    assert [row for row in rows if "goal" in row] == [
        f"{name}, {what} over the proxy's (goal ≤ 0.10)"
        for what in ("CPU", "added p50")
        for name in names[2:]
        if others
    ]


def test_memory_is_held_against_the_proxys() -> None:
    subjects = [Subject(name, 0, os.getpid(), bytes) for name in (DIRECT, PROXY, CORPUS)]
    (rows,) = measure_memory(subjects).values()
    assert rows[f"{CORPUS}, memory over the proxy's (goal ≤ 0.5)"] == pytest.approx(1.0, rel=0.2)


def test_a_process_is_charged_for_its_children() -> None:
    before, held = cpu_seconds(os.getpid()), memory_mib(os.getpid())
    burning = "held = bytearray(64 << 20)\nfor n in range(10**7): pass\nprint(flush=True)\ninput()"
    child = subprocess.Popen([sys.executable, "-c", burning], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        assert cpu_seconds(os.getpid()) - before > 0.1
        assert memory_mib(os.getpid()) - held > 60
    finally:
        child.communicate(b"\n")


def test_a_child_that_has_ended_holds_nothing_more() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # it is there still, and its memory is not
    assert memory_mib(ended.pid) == 0.0
    ended.wait()


def test_the_corpus_is_the_same_each_time_and_no_question_comes_twice(tmp_path: Path) -> None:
    first, second = (write_documents(tmp_path / name).questions() for name in ("one", "two"))
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(files) == NUMBER + 2
    assert all((tmp_path / "one" / name).read_text() == (tmp_path / "two" / name).read_text() for name in files)
    asked = [next(first) for _ in range(1_000)]
    assert asked == [next(second) for _ in range(1_000)]
    assert len(set(asked)) == 1_000


def test_what_pip_cannot_install_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(LiteLLMMissing, match=r"litellm.* cannot be installed: .*No matching distribution"):
        install_litellm(tmp_path / "litellm")


def test_what_is_installed_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".twinpin.stamp").touch()
    assert install_litellm(tmp_path) == tmp_path / "bin" / "python"
