"""A vLLM pooling server's HTTP face over the hashing stand-in: what goes over the wire is what goes to a real one."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from retrieval.embed import HashEmbedder


@dataclass
class Double:
    """`heard` are the bodies by path; `failing` answers so many requests for vectors with a 503 first."""

    name: str = "house-embedder"
    key: str | None = "secret"
    heard: list[tuple[str, Any]] = field(default_factory=list)
    failing: int = 0
    delay: float = 0.0
    at_once: int = 0
    most_at_once: int = 0
    vector: Callable[[str], list[float]] = field(default=lambda text: HashEmbedder(64).embed([text])[0])
    url: str = ""

    def asked(self) -> list[list[str]]:
        """The texts of each request for vectors, those of the fingerprint left out."""
        inputs = [body["input"] for path, body in self.heard if path == "/v1/embeddings"]
        return [texts for texts in inputs if not any("annual leave do I get" in text for text in texts)]

    async def models(self, request: web.Request) -> web.Response:
        self._require_key(request)
        return web.json_response({"object": "list", "data": [{"id": self.name, "root": "/models/house", **LENGTH}]})

    async def embeddings(self, request: web.Request) -> web.Response:
        self._require_key(request)
        body = await request.json()
        self.heard.append((request.path, body))
        if self.failing:
            self.failing -= 1
            return web.json_response({"error": {"message": "overloaded"}}, status=503)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.delay)
        self.at_once -= 1
        data = [{"index": n, "embedding": self.vector(text)} for n, text in enumerate(body["input"])]
        return web.json_response({"object": "list", "model": self.name, "data": data[::-1], "usage": {}})

    async def tokenize(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.heard.append((request.path, body))
        count = len(re.findall(r"\w+|[^\w\s]", body["prompt"])) + 2 * body["add_special_tokens"]
        return web.json_response({"count": count, "tokens": list(range(count)), **LENGTH})

    def _require_key(self, request: web.Request) -> None:
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            raise web.HTTPUnauthorized


LENGTH = {"max_model_len": 512}


@asynccontextmanager
async def serving(double: Double) -> AsyncIterator[Double]:
    """The double on a port of its own."""
    app = web.Application()
    app.router.add_get("/v1/models", double.models)
    app.router.add_post("/v1/embeddings", double.embeddings)
    app.router.add_post("/tokenize", double.tokenize)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    double.url = f"http://{host}:{port}"
    try:
        yield double
    finally:
        await runner.cleanup()
