"""Leak probes: documents that hold a marker, asked for on every path by callers who may not read them.

They stand in a tenant of their own, beside everybody's in the same catalog, indexes and cache. Who gets to see a marker
that is another group's, or another tenant's, has shown that a path leaks: it is closed.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import msgspec
import structlog
from fastapi import FastAPI
from starlette.types import Message

from gateway.caller import Caller
from gateway.health.gates import PROBES_TENANT, Gates
from gateway.http.inside import sent
from gateway.parts import Parts
from gateway.telemetry.metrics import Seen
from retrieval.acl import Access, Principal
from retrieval.newdocument import NewDocument
from retrieval.outcome import Outcome

_GROUPS: Final = "north", "south"
_STRANGERS: Final = f"{PROBES_TENANT}-strangers"
_SCOPES: Final = frozenset({"ask", "search"})
_JSON: Final = [(b"content-type", b"application/json"), (b"accept", b"application/json, text/event-stream")]
_TOKENS: Final = 64
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to ask: the operation that it goes by, and the body that it sends."""

    operation: str
    body: Mapping[str, Any]


class Probes:
    """Asks in this process, through everything that a request goes through but the check of a credential."""

    def __init__(self, app: FastAPI, parts: Parts, gates: Gates, seconds: float) -> None:
        self._app = app
        self._parts = parts
        self._gates = gates
        self._seconds = seconds

    async def run(self) -> NoReturn:
        """Probe, again and again."""
        while True:
            try:
                await self.round()
            except Exception as error:  # noqa: BLE001 - one that fails in a new way must not be the last
                _log.error("probes_failed", exc_info=error)
                self._parts.metrics.probed("documents", "failed")
            await asyncio.sleep(self._seconds)

    async def round(self) -> None:
        """Put the markers where they belong, look whether their readers find them, and ask as everybody else."""
        outcomes: list[Outcome] = await self._parts.library.documents.put(list(map(_document, _GROUPS)))
        if refused := [outcome.reason for outcome in outcomes if outcome.reason]:
            _log.error("probe_documents_refused", reason=refused[0])
        for group in _GROUPS:
            ways = list(_ways(group, self._parts.settings.served_model))
            self._found(ways[0], group, await self._ask(ways[0], PROBES_TENANT, group))
            for way in ways:
                for tenant, other in ((PROBES_TENANT, _other(group)), (_STRANGERS, group)):
                    self._judge(way, group, await self._ask(way, tenant, other))

    def _found(self, way: _Way, group: str, response: tuple[int, bytes]) -> None:
        """A marker that its own readers do not find would prove nothing by staying unseen."""
        if _marker(group) not in response[1]:
            _log.error("probe_blind", operation=way.operation, status=response[0])
            self._parts.metrics.probed(way.operation, "blind")

    def _judge(self, way: _Way, group: str, response: tuple[int, bytes]) -> None:
        status, body = response
        seen: Seen = "leak" if _marker(group) in body else "clean" if status == 200 else "failed"
        self._parts.metrics.probed(way.operation, seen)
        if seen == "leak":
            _log.critical("probe_leak", operation=way.operation)
            self._gates.close(way.operation)

    async def _ask(self, way: _Way, tenant: str, group: str) -> tuple[int, bytes]:
        method, path = way.operation.split()
        who = Principal(tenant, f"probe-{group}", frozenset({group}), _SCOPES)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": _JSON,
            "state": {"caller": Caller(who, "probe")},
        }
        return await sent(self._app, scope, msgspec.json.encode(way.body), _stays)


def _ways(group: str, model: str) -> Iterator[_Way]:
    question = f"What is the marker of the {group} probe?"
    spoken = {"model": model, "messages": [{"role": "user", "content": question}], "max_tokens": _TOKENS}
    asked = {"question": question, "max_tokens": _TOKENS}
    yield _Way("POST /v1/search", {"query": question})
    for stream in (False, True):
        yield _Way("POST /v1/answer", {**asked, "stream": stream})
        yield _Way("POST /v1/chat/completions", {**spoken, "stream": stream})
    for tool, arguments in (("search", {"query": question}), ("answer", asked)):
        call = {"name": tool, "arguments": arguments}
        yield _Way("POST /mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})


async def _stays() -> Message:
    """Nobody leaves."""
    return await asyncio.Future()


def _other(group: str) -> str:
    return _GROUPS[1 - _GROUPS.index(group)]


def _marker(group: str) -> bytes:
    return hashlib.sha256(f"{PROBES_TENANT}/{group}".encode()).hexdigest()[:20].encode()


def _document(group: str) -> NewDocument:
    text = f"# The {group} probe\n\nThe marker of the {group} probe is {_marker(group).decode()}.\n"
    access = Access(PROBES_TENANT, frozenset({f"group:{group}"}))
    return NewDocument(f"probes/{group}.md", f"{group}.md", text.encode(), access, "probes")
