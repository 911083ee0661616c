"""The real Prometheus on a live gateway: every panel, rule and alert finds what it asks for."""

import asyncio
import math
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
import yaml

from deploy.grafana.__main__ import BOARDS
from deploy.keys import create_key
from deploy.pins import Pin
from gateway.answers.engines import EngineNews
from gateway.app import Outside, create_app, open_parts
from gateway.parts import Opening, Parts
from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics
from serving.errors import EngineAborted, EngineUnavailable
from serving.generator import GenerationRequest
from serving.manifest import Rewriting
from serving.replicas import ReplicatedGenerator
from serving.scripted import Script, pieces_of
from tests.conftest import free_port
from tests.deploy.test_dashboards import PROMETHEUS, rules, selectors
from tests.gateway.house import (
    CORPUS,
    REFUND,
    REFUND_QUESTION,
    House,
    Model,
    make_house,
    pinned_manifest,
    pinned_recipe,
)
from tests.gateway.issuer import Issuer, entry, write_identity

PATIENCE_SECONDS, AT_ONCE = 40.0, 3
ANSWER, CHAT, SEARCH = "/v1/answer", "/v1/chat/completions", "/v1/search"
SCHEMA = {"type": "object", "properties": {"days": {"type": "integer"}}}
FOLLOW_UP = [
    {"role": "user", "content": REFUND_QUESTION},
    {"role": "assistant", "content": "45 days."},
    {"role": "user", "content": "Is it paid out?"},
]


class Moody(Model):
    """Answers by a word in the question: well, without support, or not at all; a word takes it a little while."""

    def __call__(self, request: GenerationRequest) -> Script:
        asked = request.messages[-1].content
        if "gone" in asked:
            return Script(refused=EngineUnavailable("gone"))
        if "breaks" in asked:
            return Script(("Customers ", EngineAborted("gone")))
        if "seashells" in asked:
            return Script(pieces_of(f"{REFUND} Refunds are paid in seashells."))
        return Script(pieces_of(f"{REFUND[:-1]} [1] [9]."))

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[House, str]]:
    """The gateway on a port of its own, with a model version beside the stable one that has a format to keep."""
    (folder / "issuer.json").write_bytes(Issuer().jwks())
    identity = write_identity(folder / "identity.yaml", entry(Issuer(), jwks_file="issuer.json"))
    measured: dict[str, Any] = {"metric_tenants": "acme", "engine_dollars_per_hour": 3.6, "cache": "process"}
    house = make_house(folder, max_concurrency=AT_ONCE, identity=identity, **measured)
    house.model = Moody()
    stable = pinned_manifest("stable", rewrite=Rewriting("rule"))
    formatted = pinned_manifest("formatted", output_schema=SCHEMA)
    house.pin(Pin(pinned_recipe().name), Pin(house.describe(stable), candidate=house.describe(formatted)))
    scopes = ["ask", "search", "feedback", "review", "documents:write", "release:override"]
    house.keys["full"] = create_key(house.settings.keys, tenant="acme", subject="full", groups=["staff"], scopes=scopes)
    port = free_port()
    app = create_app(house.settings, behind_replicas(house))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, lifespan="on"))
    task = asyncio.create_task(server.serve())
    try:
        for _ in range(1_000):
            if server.started or task.done():
                break
            await asyncio.sleep(0.01)
        yield house, f"127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


def behind_replicas(house: House) -> Opening:
    """The house, with its scripted model as the one replica of an engine."""

    def reach(settings: Settings, metrics: Metrics) -> Outside:
        outside = house.reach(CORPUS)
        replicas = {"scripted": outside.generator}
        engine = ReplicatedGenerator(replicas, most=64, heard=EngineNews(metrics, replicas))
        known = outside.open_model
        return replace(outside, generator=engine, open_model=lambda one: replace(known(one), generator=engine))

    @asynccontextmanager
    async def opened(settings: Settings, metrics: Metrics) -> AsyncIterator[Parts]:
        async with open_parts(settings, metrics, reach) as parts:
            yield parts

    return opened


@contextmanager
def watching(folder: Path, target: str) -> Iterator[str]:
    """Prometheus with the rules as they are shipped, in a hurry; its address."""
    config: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(PROMETHEUS / name) for name in config["rule_files"]]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
    address = f"127.0.0.1:{free_port()}"
    options = {
        "config.file": folder / "prometheus.yml",
        "storage.tsdb.path": folder / "tsdb",
        "web.listen-address": address,
    }
    with (folder / "prometheus.log").open("wb") as log:
        started = [f"--{name}={value}" for name, value in options.items()]
        process = subprocess.Popen(["prometheus", *started], stdout=log, stderr=log)
        try:
            yield f"http://{address}"
        finally:
            process.kill()
            process.wait()


def requests(house: House) -> list[tuple[str, str, str, Any, dict[str, str]]]:
    """One of everything: caller, method, path, body, headers."""
    formatted = {"x-twinpin-model": pinned_manifest("formatted", output_schema=SCHEMA).name}
    said = [{"role": "user", "content": REFUND_QUESTION}]
    text = {"text": f"# A note\n\n{REFUND}", "access": {"allow": ["group:staff"]}}
    return [
        ("ana", "POST", ANSWER, {"question": REFUND_QUESTION}, {}),
        ("ana", "POST", ANSWER, {"question": REFUND_QUESTION, "stream": True}, {}),
        ("ana", "POST", CHAT, {"model": "twinpin", "messages": said}, {}),
        ("oscar", "POST", CHAT, {"model": "twinpin", "messages": said, "stream": True}, {}),
        ("ana", "POST", ANSWER, {"messages": FOLLOW_UP}, {}),
        ("full", "POST", ANSWER, {"question": REFUND_QUESTION}, formatted),
        ("ana", "POST", ANSWER, {"question": f"{REFUND_QUESTION} In seashells?"}, {}),
        ("ana", "POST", ANSWER, {"question": f"{REFUND_QUESTION} Is it gone?"}, {}),
        ("ana", "POST", ANSWER, {"question": f"{REFUND_QUESTION} If it breaks?", "stream": True}, {}),
        ("eve", "POST", ANSWER, {"question": REFUND_QUESTION}, {}),
        ("ana", "POST", ANSWER, {"question": "Zebra?"}, {}),
        ("ana", "POST", SEARCH, {"query": REFUND_QUESTION}, {}),
        ("ana", "POST", SEARCH, {"query": ""}, {}),
        ("asker", "POST", SEARCH, {"query": REFUND_QUESTION}, {}),
        ("ana", "POST", CHAT, {"model": "another", "messages": said}, {}),
        ("full", "PUT", "/v1/documents/note", text, {}),
        ("full", "DELETE", "/v1/documents/note", None, {}),
        ("ana", "GET", "/nowhere", None, {}),
    ]


async def traffic(house: House, client: httpx2.AsyncClient, seen: set[int]) -> None:
    """Everything, over and over; now and then more at once than a tenant may have in flight."""

    async def ask(caller: str, method: str, path: str, body: Any, headers: dict[str, str]) -> httpx2.Response:
        told = house.headers(caller) | headers
        answer = await client.request(method, path, json=body, headers=told, timeout=30)
        seen.add(answer.status_code)
        return answer

    async def judge() -> None:
        """What people do with an answer that is to be reviewed, and with another one."""
        said = [f"{REFUND_QUESTION} In seashells?", REFUND_QUESTION]
        asked = [await ask("full", "POST", ANSWER, {"question": question}, {}) for question in said]
        doubtful, plain = (answer.json()["id"] for answer in asked)
        wrong = {"rating": "down", "failure": "hallucination", "correction": "Within 45 days."}
        for path, body in (
            ("/v1/feedback", {"answer": plain, "rating": "up"}),
            ("/v1/feedback", {"answer": doubtful, **wrong}),
            ("/v1/review", {"answer": doubtful, "decision": "reject"}),
        ):
            assert (await ask("full", "POST", path, body, {})).status_code == 200

    while True:
        for one in requests(house):
            await ask(*one)
        await judge()
        one_more = "ana", "POST", ANSWER, {"question": REFUND_QUESTION}, {"cache-control": "no-store"}
        await asyncio.gather(*(ask(*one_more) for _ in range(3 * AT_ONCE)))
        await asyncio.sleep(0.1)


async def shown(prometheus: httpx2.AsyncClient, expr: str) -> bool:
    """Whether a query gives a number."""
    sent = expr.replace("$__rate_interval", "10s").replace("$job", ".*")
    answer = (await prometheus.get("/api/v1/query", params={"query": sent})).json()
    assert answer["status"] == "success", (expr, answer)
    return any(not math.isnan(float(one["value"][1])) for one in answer["data"]["result"])


async def still_empty(wanted: dict[str, str], has: Callable[[str], Awaitable[bool]]) -> dict[str, str]:
    return {name: expr for name, expr in wanted.items() if not await has(expr)}


def every_query() -> dict[str, str]:
    """What has to give a number: all panels, what rules record, and what alerts look at."""
    panels = {
        f"{board.uid}: {panel.title}: {query.legend}": query.expr
        for board in BOARDS
        for panel in board.panels
        for query in panel.queries
    }
    recorded = {rule["record"]: rule["record"] for rule in rules("rules.yml")}
    alerts = {f"{rule['alert']}: {one}": str(one) for rule in rules("alerts.yml") for one in selectors(rule["expr"])}
    return panels | recorded | alerts


async def test_every_panel_rule_and_alert_finds_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.health.readiness._LOOK_SECONDS", 1.0)
    statuses: set[int] = set()
    async with serving(tmp_path) as (house, target), httpx2.AsyncClient(base_url=f"http://{target}") as client:
        with watching(tmp_path, target) as address:
            async with httpx2.AsyncClient(base_url=address) as prometheus:
                asking = asyncio.create_task(traffic(house, client, statuses))
                try:
                    empty = await filled(prometheus, asking)
                    health = (await prometheus.get("/api/v1/rules")).json()["data"]["groups"]
                finally:
                    asking.cancel()
                    await asyncio.wait({asking})
    assert empty == {}, "no data"
    assert statuses >= {200, 403, 404, 422, 429, 503}
    checked = [rule for group in health for rule in group["rules"]]
    assert len(checked) == len(rules("rules.yml")) + len(rules("alerts.yml"))
    assert [(rule["name"], rule.get("lastError")) for rule in checked if rule["health"] != "ok"] == []


async def filled(prometheus: httpx2.AsyncClient, asking: asyncio.Task[None]) -> dict[str, str]:
    """What has no data yet after the patience is over."""
    empty, until = every_query(), asyncio.get_running_loop().time() + PATIENCE_SECONDS

    async def has(expr: str) -> bool:
        return await shown(prometheus, expr)

    while empty and asyncio.get_running_loop().time() < until:
        assert not asking.done(), asking.exception()
        await asyncio.sleep(1.0)
        try:
            empty = await still_empty(empty, has)
        except httpx2.ConnectError:
            continue  # it is still starting
    return empty
