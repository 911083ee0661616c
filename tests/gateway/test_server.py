"""The server under its own conditions: a crowd at the door of a busy process, and a signal amid a log line."""

import asyncio
import io
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import structlog
from fastapi import FastAPI

from gateway.http.draining import Draining
from gateway.http.server import Server

TURN, CROWD = 0.03, 48
ASKED = b"GET /nowhere HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n"


def busy_app() -> FastAPI:
    """Whose event loop is held for `TURN` seconds again and again."""

    async def busy() -> None:
        while True:
            time.sleep(TURN)  # noqa: ASYNC251 - what is to be seen
            await asyncio.sleep(0)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(busy())
        yield
        task.cancel()

    return FastAPI(lifespan=lifespan)


@contextmanager
def serving(app: FastAPI) -> Iterator[int]:
    server, listening = Server(app, Draining(), drain_seconds=0, answer_seconds=1), socket.create_server(("", 0))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def test_a_crowd_is_taken_in_few_turns_of_a_busy_event_loop() -> None:
    """One connection a turn would take `CROWD` turns."""
    with serving(busy_app()) as port:
        began, crowd = time.monotonic(), [socket.create_connection(("127.0.0.1", port)) for _ in range(CROWD)]
        for one in crowd:
            one.sendall(ASKED)
        for one in crowd:
            assert one.recv(12) == b"HTTP/1.1 404"
            one.close()
        assert time.monotonic() - began < CROWD * TURN / 2


async def test_a_signal_amid_a_log_line_does_not_wait_for_that_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(io.StringIO):
        def write(self, line: str) -> int:
            if not draining.begun:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().write(line)

    def waits(*_: object) -> None:
        raise AssertionError("it waits for the line that it interrupted")

    draining, ended = Draining(), asyncio.Event()
    server = Server(FastAPI(), draining, drain_seconds=0, answer_seconds=1)
    server.started, server._loop = True, asyncio.get_running_loop()
    monkeypatch.setattr("uvicorn.Server.handle_exit", lambda *_: ended.set())
    as_json, out = [structlog.processors.JSONRenderer()], structlog.PrintLogger(Interrupted())
    lines = structlog.wrap_logger(out, as_json, structlog.stdlib.BoundLogger)
    monkeypatch.setattr("gateway.http.server._log", lines)
    before = signal.signal(signal.SIGTERM, server.handle_exit), signal.signal(signal.SIGALRM, waits)
    signal.setitimer(signal.ITIMER_REAL, 5)
    try:
        lines.info("a line")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip((signal.SIGTERM, signal.SIGALRM), before, strict=True):
            signal.signal(number, handler)
    assert draining.begun
    await asyncio.wait_for(ended.wait(), 5)
