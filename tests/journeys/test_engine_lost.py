"""The engine dies: last of all tests, because the session's engine does not come back."""

import os
import signal
import time
from pathlib import Path

import httpx2
import pytest

from tests.journeys.product import QUESTIONS, Product

pytestmark = pytest.mark.real_engine

NOTICED_WITHIN = 10.0


def engine_process(product: Product) -> int:
    """The leader of the engine's process group, by the port it was told to listen on."""
    port = f"--port={product.stack.settings.engine_port}"
    (found,) = (
        int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and port in _command(entry)
    )
    return found


def _command(process: Path) -> list[str]:
    try:
        return (process / "cmdline").read_text("utf-8", "replace").split("\0")
    except OSError:  # it ended while we looked
        return []


def test_without_the_engine_nothing_is_made_up(product: Product) -> None:
    assert product.http.get("/readyz").status_code == 200
    os.killpg(engine_process(product), signal.SIGKILL)
    _require_refused(product)
    _require_not_ready(product)
    assert product.http.get("/healthz").status_code == 200
    assert product.search(QUESTIONS[0]), "finding needs no engine"
    assert product.ask(QUESTIONS[0], "eve")["reason"] == "no_hits"


def _require_refused(product: Product) -> None:
    messages = [{"role": "user", "content": QUESTIONS[0]}]
    for path, body in (
        ("/v1/answer", {"question": QUESTIONS[0]}),
        ("/v1/answer", {"question": QUESTIONS[0], "stream": True}),
        ("/v1/chat/completions", {"model": "twinpin", "messages": messages}),
        ("/v1/chat/completions", {"model": "twinpin", "messages": messages, "stream": True}),
    ):
        response = product.post(path, body)
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
        assert response.headers["x-request-id"] == response.json()["error"]["request_id"]
        assert response.json()["error"]["code"] == "engine_unavailable"
        assert "Traceback" not in response.text
        assert product.stack.engine_url not in response.text


def _require_not_ready(product: Product) -> None:
    """Readiness is asked anew every few seconds."""
    started = time.monotonic()
    while (response := product.http.get("/readyz")).status_code == httpx2.codes.OK:
        assert time.monotonic() - started < NOTICED_WITHIN
        time.sleep(0.2)
    assert response.status_code == 503
    checks = response.json()["checks"]
    ready = dict.fromkeys(("catalog", "index", "background", "records"), "ready")
    assert checks == {**ready, "engine": "engine_unavailable"}
