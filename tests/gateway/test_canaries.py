"""Words that are planted wherever a request carries any are found in no log line, metric, span or error."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from starlette.testclient import TestClient

from gateway.app import create_app
from gateway.telemetry.logs import configure_logs
from retrieval.errors import CatalogError
from serving.errors import EngineAborted, EngineRefused, EngineUnavailable
from serving.scripted import Script
from tests.gateway.house import (
    REFUND,
    REFUND_QUESTION,
    House,
    break_catalog,
    make_house,
    opening,
    refuse_documents,
)
from tests.gateway.librarians import hire, put
from tests.gateway.test_tracing import Collector, collector

__all__ = ["collector"]

CANARY = "canary7f3a"
PERSON = "ada@lovelace.example"
HEADERS = {"user-agent": CANARY, "cookie": f"{CANARY}=1", f"x-{CANARY}": CANARY, "referer": f"http://{CANARY}.example"}
HISTORY = [{"role": "user", "content": f"{CANARY}?"}, {"role": "assistant", "content": CANARY}]


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged, as it is written, at the most talkative level; libraries too."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logs("debug", stream=stream)
    yield stream
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def told(tmp_path: Path, where: Path | str, lines: io.StringIO, collector: Collector) -> Iterator[House]:
    """A house on either database, whose faults are rendered, and whose every request is traced."""
    url = where if isinstance(where, str) else None
    house = hire(make_house(tmp_path, catalog_url=url, traces_url=collector.url, traces_sample=1.0))
    house.model.says(f"{REFUND[:-1]} [1]. {CANARY}.")
    with TestClient(create_app(house.settings, opening(house)), raise_server_exceptions=False) as client:
        house.client = client
        yield house


def plant(house: House) -> list[str]:
    """Ask everything that can be asked, well and badly, with the word in it; the bodies of all refusals."""
    question, filters = f"{REFUND_QUESTION} {CANARY}", {"category": ["policy", CANARY]}
    turns = [*HISTORY, {"role": "user", "content": question}]
    answers = [
        house.post("/v1/answer", {"question": question, "user": CANARY, "filter": filters}, **HEADERS),
        house.post("/v1/answer", {"messages": turns, "stream": True, "conversation": CANARY}, **HEADERS),
        house.chat(question, model=CANARY),
        house.post("/v1/chat/completions", {"model": "twinpin", "messages": turns, "stream": True}, **HEADERS),
        house.search(question, filter=filters),
        house.post("/v1/answer", {"question": question}, **{"x-twinpin-index": CANARY}),
        house.post("/v1/answer", {"question": 1, CANARY: CANARY}, **HEADERS),
        house.post("/v1/answer", {"question": f"{CANARY} " * 2_000}),
        house.ask(question, response_format={"type": CANARY}),
        house.client.post("/v1/answer", content=f'{{"{CANARY}', headers=house.headers("ana")),
        house.client.post("/v1/answer", json={"question": question}, headers={"authorization": f"Bearer tp_{CANARY}"}),
        house.client.post("/v1/feedback", json={"answer": CANARY, "comment": CANARY}, headers=house.headers("nina")),
        put(house, "note", f"# {CANARY}\n\n{CANARY}"),
        put(house, "note", CANARY, category=7),
    ]
    return [answer.text for answer in answers if answer.status_code >= 400 or "event: error" in answer.text]


FAULTS: dict[str, Any] = {
    "a fault of ours": lambda house: setattr(house.model, "fault", ValueError(f"{CANARY} is no {PERSON}")),
    "an engine that refuses": lambda house: setattr(
        house.model, "script", Script(refused=EngineRefused("no", status=400, detail=CANARY))
    ),
    "an engine that is away": lambda house: setattr(house.model, "script", Script(refused=EngineUnavailable("away"))),
    "an engine that breaks off": lambda house: setattr(
        house.model, "script", Script(("Customers ", EngineAborted("broke", detail=CANARY)))
    ),
    "a catalog that is broken": lambda house: break_catalog(house.settings.catalog),
    "a catalog that takes no document": lambda house: refuse_documents(house.settings.catalog),
    "nothing": lambda house: None,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_planted_word_is_told(told: House, lines: io.StringIO, collector: Collector, fault: str) -> None:
    FAULTS[fault](told)
    logging.getLogger("somebody").warning("cannot send %s", CANARY)
    logging.getLogger("somebody").debug("%s", CANARY)
    refusals = plant(told)
    metrics = told.client.get("/metrics").text
    told.client.__exit__(None, None, None)
    spans = b"".join(span.SerializeToString() for span in collector.spans)
    events = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert len(refusals) >= 6
    assert len(collector.spans) >= 14
    assert {"library", "closing"} <= {event["event"] for event in events}
    assert all(CANARY not in one.lower() for one in (metrics, lines.getvalue(), *refusals))
    assert CANARY.encode() not in spans.lower()
    if fault != "nothing":
        assert any("failure" in event for event in events)


def test_without_content_a_failure_is_its_type_and_its_place(lines: io.StringIO) -> None:
    error = CatalogError("the catalog does not answer")
    try:
        dict[str, str]()[CANARY]
    except KeyError as cause:
        error.__cause__ = cause
    structlog.get_logger().error("request_failed", exc_info=error)
    outer, inner = json.loads(lines.getvalue())["failure"]
    assert (outer["type"], outer["text"]) == ("retrieval.errors.CatalogError", "the catalog does not answer")
    assert (inner["type"], inner["text"]) == ("builtins.KeyError", None)
    assert "test_canaries.py" in inner["frames"][-1]


def test_with_content_words_are_logged_and_redacted(tmp_path: Path, lines: io.StringIO) -> None:
    configure_logs(content=True, stream=lines)
    house = make_house(tmp_path, log_content=True)
    house.model.says(f"{REFUND[:-1]} [1].")
    with TestClient(create_app(house.settings, opening(house)), raise_server_exceptions=False) as client:
        house.client = client
        house.ask(f"{REFUND_QUESTION} I am {PERSON}.")
        house.model.fault = ValueError(f"no {PERSON}")
        house.ask()
    logging.getLogger("somebody").warning("cannot send %s to %s", "words", PERSON)
    told = lines.getvalue()
    answer = next(line for line in map(json.loads, told.splitlines()) if line["event"] == "answer")
    assert answer["question"] == f"{REFUND_QUESTION} I am [email]."
    assert answer["answer"].startswith("Customers may ask for a refund within 45 days")
    assert '"text":"no [email]"' in told
    assert "cannot send words to [email]" in told
    assert PERSON not in told
