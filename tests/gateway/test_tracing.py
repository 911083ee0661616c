"""A request's spans are one tree, down to the engine, and hold nothing that was said."""

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.testclient import TestClient

from deploy.pins import Pin
from gateway.app import Outside, create_app, open_parts
from gateway.parts import Parts
from gateway.release import ModelVersion
from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import UNTRACED, Tracing
from serving.manifest import Rewriting
from serving.scripted_server import Behaviour, scripted_app
from serving.vllm_client import Timeouts, VllmGenerator
from tests.conftest import free_port
from tests.gateway.house import CORPUS, REFUND_QUESTION, House, make_house, pinned_manifest, pinned_recipe

SAMPLED = 1
FINDING = ["embed", "search", "rerank", "pack", "confidence"]
HISTORY = [
    {"role": "user", "content": REFUND_QUESTION},
    {"role": "assistant", "content": "45 days."},
    {"role": "user", "content": "Within how many days may customers ask for a refund there?"},
]


@dataclass
class Collector:
    """What an OTLP collector was sent."""

    url: str
    spans: list[Span] = field(default_factory=list)
    resources: list[dict[str, str]] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append({one.key: one.value.string_value for one in of_resource.resource.attributes})
            for scope in of_resource.scope_spans:
                self.spans += scope.spans

    def named(self, name: str) -> Span:
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def below(self, parent: Span) -> list[str]:
        """Names of a span's children, in the order of their beginnings."""
        children = [span for span in self.spans if span.parent_span_id == parent.span_id]
        return [span.name for span in sorted(children, key=lambda span: span.start_time_unix_nano)]


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that listens on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            made.take(gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *given: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Collector(f"http://127.0.0.1:{server.server_port}/v1/traces")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()


@dataclass
class Engine:
    """The stand-in server, and the headers that it was asked with."""

    url: str
    asked: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def engine() -> Iterator[Engine]:
    """The stand-in server in a loop of its own."""
    made = Engine(f"http://127.0.0.1:{free_port()}")

    @web.middleware
    async def listening(request: web.Request, handler: Any) -> Any:
        if request.method == "POST":
            made.asked.append(dict(request.headers))
        return await handler(request)

    app = scripted_app(Behaviour(pinned_manifest().served_name, tokens=6))
    app.middlewares.append(listening)
    loop, started = asyncio.new_event_loop(), threading.Event()

    async def serve() -> web.AppRunner:
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", int(made.url.rpartition(":")[2])).start()
        return runner

    def run() -> None:
        runner = loop.run_until_complete(serve())
        started.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait(10)
    yield made
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@contextmanager
def serving(folder: Path, engine: Engine, **settings: Any) -> Iterator[House]:
    """The house, with the real client in front of the stand-in server; what it recorded is sent at the end."""
    house = make_house(folder, traces_sample=1.0, **settings)
    model = pinned_manifest("traced", rewrite=Rewriting("rule"))
    house.pin(Pin(pinned_recipe().name), Pin(house.describe(model)))

    @asynccontextmanager
    async def opening(given: Settings, metrics: Metrics) -> AsyncIterator[Parts]:
        async with open_parts(given, metrics, lambda *_: reach()) as parts:
            yield parts

    def reach() -> Outside:
        generator = VllmGenerator(engine.url, timeouts=Timeouts(), connections=4)
        return replace(
            house.reach(CORPUS),
            open_model=lambda manifest: ModelVersion(manifest, generator, lambda text: len(text.split())),
            generator=generator,
        )

    with ExitStack() as stack:
        house.client = stack.enter_context(TestClient(create_app(house.settings, opening)))
        yield house


@pytest.mark.parametrize("stream", [False, True])
def test_a_requests_spans_are_one_tree_down_to_the_engine(
    tmp_path: Path, collector: Collector, engine: Engine, stream: bool
) -> None:
    with serving(tmp_path, engine, traces_url=collector.url) as house:
        assert house.post("/v1/answer", {"messages": HISTORY, "stream": stream}).status_code == 200
    root, model = collector.named("POST /v1/answer"), pinned_manifest().served_name
    assert {span.trace_id for span in collector.spans} == {root.trace_id}
    assert root.parent_span_id == b""
    chat = collector.named(f"chat {model}")
    assert collector.below(root) == ["rewrite", "retrieval", chat.name, "grounding", "record"]
    assert collector.below(collector.named("retrieval")) == FINDING
    assert len(collector.spans) == 11
    version, trace, parent, flags = engine.asked[-1]["traceparent"].split("-")
    assert (version, trace, parent) == ("00", chat.trace_id.hex(), chat.span_id.hex())
    assert int(flags, 16) & SAMPLED
    for span in collector.spans:
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano + 1_000_000
    told = {one.key: one.value for one in chat.attributes}
    assert told["gen_ai.operation.name"].string_value == "chat"
    assert told["gen_ai.usage.output_tokens"].int_value > 1
    assert collector.resources[0]["service.name"] == "twinpin"


def test_nothing_that_was_said_is_in_a_span(tmp_path: Path, collector: Collector, engine: Engine) -> None:
    with serving(tmp_path, engine, traces_url=collector.url) as house:
        fields = {
            "question": f"{REFUND_QUESTION} canary",
            "user": "canary",
            "filter": {"category": ["policy", "canary"]},
        }
        assert (
            house.post("/v1/answer?canary=canary", fields, **{"user-agent": "canary", "canary": "canary"}).status_code
            == 200
        )
        house.client.get("/canary")
        house.search("canary")
        house.chat(model="canary")
    assert collector.named("GET other").parent_span_id == b""
    assert collector.below(collector.named("POST /v1/search")) == ["retrieval"]
    told = b"".join(span.SerializeToString() for span in collector.spans).lower()
    assert b"canary" not in told
    assert b"refund" not in told


def test_what_fails_says_so(tmp_path: Path, collector: Collector, engine: Engine) -> None:
    engine.url = f"http://127.0.0.1:{free_port()}"
    with serving(tmp_path, engine, traces_url=collector.url) as house:
        assert house.ask().status_code == 503
    chat, root = collector.named(f"chat {pinned_manifest().served_name}"), collector.named("POST /v1/answer")
    assert (chat.status.code, root.status.code) == (2, 2)
    assert {one.key: one.value.string_value for one in chat.attributes}["error.type"] == "EngineGone"
    assert "record" in collector.below(root)


@pytest.mark.parametrize(("trust", "flag", "recorded"), [(True, "01", 11), (True, "00", 0), (False, "00", 11)])
def test_a_callers_trace_is_believed_only_where_it_is_trusted(
    tmp_path: Path, collector: Collector, engine: Engine, trust: bool, flag: str, recorded: int
) -> None:
    given = f"00-{'ab' * 16}-{'cd' * 8}-{flag}"
    with serving(tmp_path, engine, traces_url=collector.url, traces_trust=trust) as house:
        house.post("/v1/answer", {"question": REFUND_QUESTION}, traceparent=given)
    assert len(collector.spans) == recorded
    _, trace, _, flags = engine.asked[-1]["traceparent"].split("-")
    assert (trace == "ab" * 16) is trust
    assert int(flags, 16) & SAMPLED == (1 if recorded else 0)


def test_nothing_is_recorded_or_sent_unless_asked_for(tmp_path: Path, engine: Engine) -> None:
    with serving(tmp_path, engine) as house:
        house.post("/v1/answer", {"question": REFUND_QUESTION}, traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01")
    assert "traceparent" not in {name.lower() for name in engine.asked[-1]}
    with Tracing().request("/v1/answer", []) as span, span.child("chat") as child:
        assert span is child is UNTRACED


def test_a_share_of_requests_is_recorded_whole(collector: Collector) -> None:
    async def record() -> None:
        async with Tracing(collector.url, sample=0.5).open() as tracing:
            for _ in range(400):
                with tracing.request("/v1/answer", []) as span, span.child("chat"):
                    pass

    asyncio.run(record())
    assert 2 * 120 < len(collector.spans) < 2 * 280
    assert len({span.trace_id for span in collector.spans}) * 2 == len(collector.spans)
