"""Load tests are tests too: what they ask a live gateway, what fails them, and that growth is told from noise."""

import asyncio
import itertools
import json
import math
import random
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deploy.bench_client import post
from deploy.keys import create_key
from loadtests.overload import AMPLIFICATION, GOODPUT, RECOVERY, REFUSALS, Flood, good, missed
from loadtests.plan import KINDS, SPIKE, Plan, Question, Stage, Thresholds, read_plan, stages, users_at
from loadtests.report import page
from loadtests.thresholds import Seen, broken
from loadtests.watching import Held, growth
from tests.gateway.house import REFUND_QUESTION, make_house
from tests.gateway.test_live import Live, serving

ROOT = Path(__file__).parents[2]
ASKED = {"answer", "chat", "stream", "first token", "search", "put", "find again", "delete"}


def plan_for(live: Live, *forbidden: str, p95: float = 30.0) -> Plan:
    """Five users for some seconds, each of another kind."""
    keys = live.house.settings.keys
    writer = create_key(keys, tenant="acme", subject="load", groups=[], scopes=["search", "documents:write"])
    questions = (Question("ana", REFUND_QUESTION, forbidden), Question("oscar", REFUND_QUESTION, ()))
    limits = Thresholds({name: p95 for name in ASKED})
    return Plan(live.house.keys, writer, "acme", questions, (Stage(6.0, len(KINDS)),), limits)


async def loaded(live: Live, plan: Plan, folder: Path) -> tuple[int, dict[str, Any]]:
    """Locust's exit status, and what it measured."""
    plan.write(folder / "plan.json")
    command = ["-m", "locust", "-f", str(ROOT / "loadtests" / "locustfile.py"), "--headless", "--only-summary"]
    asked = ["--host", f"http://127.0.0.1:{live.port}", "--plan", str(folder / "plan.json")]
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, *command, *asked, "--figures", str(folder / "figures.json"), *KINDS.values()),
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await running.wait(), json.loads((folder / "figures.json").read_text("utf-8"))


async def test_every_kind_of_user_is_answered_and_a_leak_or_a_slow_answer_fails_the_run(tmp_path: Path) -> None:
    async with serving(make_house(tmp_path / "house")) as live:
        code, figures = await loaded(live, plan_for(live), tmp_path)
        assert (code, figures["broken"]) == (0, [])
        assert {one["kind"] for one in figures["seen"] if one["requests"]} == ASKED

        code, figures = await loaded(live, plan_for(live, "policies/refunds.md", p95=0.001), tmp_path)
        assert code == 1
        assert "answer: leak: ana was shown policies/refunds.md" in figures["broken"]
        assert "stream: 95 % took up to" in str(figures["broken"])


def seen(kind: str, requests: int = 100, failed: int = 0, p95: float = 0.1, method: str = "POST") -> Seen:
    return Seen(kind, method, requests, failed, p95 / 2, p95, p95, 10.0)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], "nothing was asked"),
        ([seen("search"), seen("answer", failed=1)], "0.50% of all requests failed, 0.10% may"),
        ([seen("search"), seen("answer", p95=0.6)], "answer: 95 % took up to 0.600 s, 0.5 s may be"),
        ([seen("search")], "answer: nobody asked"),
        ([seen("answer"), seen("answer", 10, method="refused")], "9.09% of all requests were refused, 0.00% may be"),
    ],
)
def test_what_breaks_a_threshold_is_said(rows: list[Seen], told: str) -> None:
    assert told in broken(rows, [], Thresholds({"answer": 0.5}))


def test_what_holds_is_not() -> None:
    rows = [seen("answer", 10_000, failed=10), seen("search")]
    assert broken(rows, ["answer: status 500"], Thresholds({"answer": 0.5})) == []


def test_one_leak_is_enough() -> None:
    rows, leak = [seen("answer", 10_000, failed=1)], "answer: leak: eve was shown hr/salaries.md"
    assert broken(rows, ["answer: status 500", leak], Thresholds({})) == [leak]


def test_a_spike_is_the_middle_third(tmp_path: Path) -> None:
    plan = Plan({}, "", "acme", (), stages("spike", 4, 30.0), Thresholds({}))
    plan.write(tmp_path / "plan.json")
    assert (tmp_path / "plan.json").stat().st_mode & 0o077 == 0
    read = read_plan(str(tmp_path / "plan.json"))
    rates = [users_at(read, now) for now in (0.0, 9.9, 10.1, 19.9, 20.1, 30.1)]
    assert [one and one[0] for one in rates] == [4, 4, 4 * SPIKE, 4 * SPIKE, 4, None]


def test_growth_is_told_from_noise() -> None:
    draw = random.Random(7)
    noisy = [Held(2.0 * n, 300 + draw.uniform(-6, 6), 40 + draw.randint(-2, 2)) for n in range(200)]
    assert growth(noisy) == []
    assert growth([Held(2.0 * n, 200.0 if n < 50 else 300.0, 40) for n in range(200)]) == []  # filled, and stays
    leaking = [Held(one.at, one.memory_mib + one.at / 40, one.descriptors + round(one.at / 60)) for one in noisy]
    assert [one.partition(" ")[0] for one in growth(leaking)] == ["memory", "descriptors"]
    assert "run longer" in growth(noisy[:10])[0]


def held_for(seconds: int, memory: Callable[[float], float], rng: random.Random) -> list[Held]:
    """Samples as they come, with the noise of a gateway that is asked."""
    return [Held(at, 600 + memory(at) + rng.uniform(-3, 3), 40) for at in map(float, range(0, seconds, 2))]


@pytest.mark.parametrize("seconds", [600, 1_800])
def test_a_kibibyte_kept_of_each_request_is_growth(seconds: int) -> None:
    """At thirty a second, as on two busy cores; and a quarter of it as well."""
    rng = random.Random(seconds)
    assert growth(held_for(seconds, lambda at: 30 * at / 1024, rng))
    assert growth(held_for(seconds, lambda at: 30 * at / 1024 / 4, rng))
    assert growth(held_for(seconds, lambda at: 0.0, rng)) == []


def test_what_fills_for_as_long_as_it_is_watched_is_growth_and_what_is_full_early_is_none() -> None:
    rng = random.Random(5)
    assert growth(held_for(1_800, lambda at: 40 * (1 - math.exp(-at / 1_200)), rng))
    assert growth(held_for(1_800, lambda at: 40 * (1 - math.exp(-at / 90)), rng)) == []


def test_what_deleted_chunks_take_until_their_index_is_tidied_is_none() -> None:
    """Seven MiB, given back once a quarter of an hour, wherever in it the watching begins and ends."""
    rng = random.Random(6)
    for begun in range(0, 1_000, 100):
        assert growth(held_for(1_800, partial(sawtooth, begun), rng)) == []


def sawtooth(begun: int, at: float) -> float:
    return 7 * ((at + begun) % 1_000) / 1_000


def test_the_report_shows_what_was_asked_and_what_was_held() -> None:
    held = [Held(2.0 * n, 300.0 + n, 40) for n in range(10)]
    shown = page("spike <5>", [seen("answer").told()], ["answer: too slow"], held)
    assert "spike &lt;5&gt;" in shown
    assert "answer: too slow" in shown
    assert shown.count("<polyline") == 2


def test_goodput_is_what_came_in_time() -> None:
    sent = [(10.0, 0.5, 200), (11.0, 9.0, 200), (12.0, 0.1, 503), (12.5, 0.2, 0), (13.0, 0.4, 200), (21.0, 0.1, 200)]
    assert good(sent, 10.0, 20.0) == pytest.approx(0.2)


async def test_an_open_loop_waits_for_nobody(tmp_path: Path) -> None:
    """Of forty a second for half a second each is sent, though the first still waits for its answer."""
    async with serving(make_house(tmp_path)) as live:
        live.house.model.gate = asyncio.Event()
        ask = post("/v1/answer", {"question": REFUND_QUESTION}, live.house.keys["ana"])
        flood = Flood(live.port, itertools.repeat(ask))
        flooding = asyncio.create_task(flood.open_loop(40.0, 0.5, random.Random(3)))
        await asyncio.sleep(0.6)
        asked = live.house.limits.in_flight + len(flood.sent)
        live.house.model.gate.set()
        await flooding
    assert asked == len(flood.sent) >= 10


def test_a_goal_that_is_missed_is_named() -> None:
    figures = {GOODPUT: 0.95, REFUSALS: 20.0, AMPLIFICATION: 1.0, RECOVERY: 3.0}
    figures |= {"due while flooded and not sent": 0, "neither answered nor refused": 0}
    assert missed(figures) == []
    for name, value in ((GOODPUT, 0.5), (REFUSALS, 60.0), (AMPLIFICATION, 1.2), (RECOVERY, -1.0)):
        assert missed(figures | {name: value}) == [name]
