"""The gateway in front of real sockets of engines that die, fill up and come back: what callers get, and are told."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from deploy.pinboard import ReleaseConfigError
from deploy.pins import Pin
from gateway.answers.engines import engine_of, named
from gateway.app import Outside, create_app, open_parts
from gateway.release import ModelVersion
from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics
from serving.scripted_server import Behaviour
from tests.conftest import free_port
from tests.engines import Engines, running_engines
from tests.gateway.house import CORPUS, House, events, make_house, pinned_manifest, pinned_recipe

STABLE = pinned_manifest()
SPARE = pinned_manifest("spare", base=replace(STABLE.base, served_as="spare"))
NOTICED_WITHIN = 5.0


@dataclass
class Site:
    """A gateway and two engines: one that serves the stable model, one that serves the fallback."""

    house: House
    engines: Engines
    ports: tuple[int, int]

    def start(self, number: int) -> None:
        served = (STABLE, SPARE)[number].served_name
        self.engines.start(Behaviour(served, tokens=12), self.ports[number])

    def kill(self, number: int) -> None:
        self.engines.kill(self.ports[number])


@contextmanager
def gateway(house: House) -> Iterator[House]:
    def reach(settings: Settings, metrics: Metrics) -> Outside:
        engine = engine_of(settings, metrics)
        return replace(
            house.reach(CORPUS),
            open_model=lambda manifest: ModelVersion(manifest, engine, lambda text: len(text.split())),
            generator=engine,
        )

    app = create_app(house.settings, lambda settings, metrics: open_parts(settings, metrics, reach))
    with TestClient(app) as house.client:
        yield house


@contextmanager
def site(folder: Path, **pinned: str) -> Iterator[Site]:
    ports = free_port(), free_port()
    house = make_house(folder, engine_url=", ".join(f"http://127.0.0.1:{port}" for port in ports))
    house.describe(SPARE)
    house.pin(Pin(pinned_recipe().name), Pin(STABLE.name, **pinned))
    with running_engines() as engines:
        made = Site(house, engines, ports)
        made.start(0)
        made.start(1)
        with gateway(house):
            yield made


def until(holds: Callable[[], Any]) -> None:
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < NOTICED_WITHIN
        time.sleep(0.05)


@pytest.mark.parametrize("stream", [False, True])
def test_the_fallback_answers_while_no_engine_serves_the_stable_model_and_everybody_is_told(
    tmp_path: Path, stream: bool
) -> None:
    with site(tmp_path, fallback=SPARE.name) as here:
        before = here.house.ask().json()["versions"]
        assert (before["model"], before["fallback_for"]) == (STABLE.name, None)
        here.kill(0)
        told = here.house.ask(stream=stream)
        assert told.status_code == 200
        assert told.headers["x-twinpin-model"] == SPARE.name
        assert told.headers["x-twinpin-fallback-for"] == STABLE.name
        shown = events(told.content)[0].data if stream else told.json()
        assert (shown["versions"]["model"], shown["versions"]["fallback_for"]) == (SPARE.name, STABLE.name)
        assert shown["versions"]["assignment"] == {"index": "DEFAULT", "model": "ERROR"}
        assert here.house.count("twinpin_fallback_answers_total", model=SPARE.name) == 1
        assert here.house.count("twinpin_engine_out", served=STABLE.served_name) == 1, "the other never had it"
        assert here.house.client.get("/readyz").json()["checks"]["engine"] == "ready"
        here.start(0)
        until(lambda: "x-twinpin-fallback-for" not in here.house.ask().headers)
        assert here.house.ask().json()["versions"]["model"] == STABLE.name


@contextmanager
def hole(port: int) -> Iterator[None]:
    """Who connects there hears nothing, as of a machine that lost its network."""
    with ExitStack() as held:
        listening = held.enter_context(socket.socket())
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(0)
        for _ in range(3):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield


def test_the_fallback_answers_where_the_stable_models_engine_is_gone_without_a_word(tmp_path: Path) -> None:
    with site(tmp_path, fallback=SPARE.name) as here:
        here.house.ask()
        here.kill(0)
        with hole(here.ports[0]):
            first, second = here.house.ask(), here.house.ask()
        assert (first.status_code, second.status_code) == (200, 200)
        assert first.headers["x-twinpin-fallback-for"] == STABLE.name
        assert second.headers["x-twinpin-fallback-for"] == STABLE.name


def test_without_a_fallback_callers_are_told_when_to_come_back(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        here.kill(0)
        for _ in range(3):
            told = here.house.ask()
            assert (told.status_code, told.json()["error"]["code"]) == (503, "engine_unavailable")
            assert 1 <= int(told.headers["retry-after"]) <= 10
        assert here.house.client.get("/readyz").status_code == 503
        here.start(0)
        until(lambda: here.house.ask().status_code == 200)


def test_an_engine_that_is_gone_is_said_once(tmp_path: Path, logged: list[dict[str, Any]]) -> None:
    with site(tmp_path) as here:
        here.house.ask()
        logged.clear()
        here.kill(0)
        here.house.ask()
        here.house.ask()
        told = {line["event"]: line["engine"] for line in logged if line["event"].startswith("engine_")}
        assert told == {"engine_out": f"127.0.0.1:{here.ports[0]}", "engine_lacks_model": f"127.0.0.1:{here.ports[1]}"}
        assert len(told) == sum(line["event"].startswith("engine_") for line in logged)


def test_replicas_are_told_apart_whatever_they_differ_in() -> None:
    told = ["http://a:1/", "https://a:1", "http://ana:secret@a:1", "http://a:1", "http://b:1/small"]
    urls = Settings(engine_url=",".join(told)).engine_urls
    assert urls == ("http://a:1", "https://a:1", "http://ana:secret@a:1", "http://b:1/small")
    assert named(urls) == dict(zip(("a:1", "a:1 (2)", "a:1 (3)", "b:1/small"), urls, strict=True))


def test_an_index_has_no_fallback(tmp_path: Path) -> None:
    house = make_house(tmp_path)
    house.pin(Pin(pinned_recipe().name, fallback=pinned_recipe().name), Pin(STABLE.name))
    with pytest.raises(ReleaseConfigError, match=r"index\.fallback"), gateway(house):
        pytest.fail("it started")
