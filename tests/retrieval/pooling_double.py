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
    """`heard` are the bodies by path; `failing` answers so many requests for vectors or scores with a 503 first.

    `tamper` makes what is sent of a whole answer of scores.
    """

    name: str = "house-embedder"
    key: str | None = "secret"
    heard: list[tuple[str, Any]] = field(default_factory=list)
    failing: int = 0
    delay: float = 0.0
    at_once: int = 0
    most_at_once: int = 0
    vector: Callable[[str], list[float]] = field(default=lambda text: HashEmbedder(64).embed([text])[0])
    score: Callable[[str, str], float] = field(default=lambda asked, text: (1 + _cosine(asked, text)) / 2)
    tamper: Callable[[dict[str, Any]], dict[str, Any]] = field(default=lambda answer: answer)
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
        await self._work()
        data = [{"index": n, "embedding": self.vector(text)} for n, text in enumerate(body["input"])]
        return web.json_response({"object": "list", "model": self.name, "data": data[::-1], "usage": {}})

    async def tokenize(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.heard.append((request.path, body))
        count = len(re.findall(r"\w+|[^\w\s]", body["prompt"])) + 2 * body["add_special_tokens"]
        return web.json_response({"count": count, "tokens": list(range(count)), **LENGTH})

    async def rerank(self, request: web.Request) -> web.Response:
        self._require_key(request)
        body = await request.json()
        self.heard.append((request.path, body))
        assert 0 < body["max_tokens_per_doc"] < LENGTH["max_model_len"], "what vLLM refuses"
        await self._work()
        scored = [(self.score(body["query"], text), n, text) for n, text in enumerate(body["documents"])]
        results = [
            {"index": n, "document": {"text": text, "multi_modal": None}, "relevance_score": score}
            for score, n, text in sorted(scored, key=lambda one: -one[0])
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        answer = {"id": "score-1", "model": self.name, "usage": usage, "results": results[: body.get("top_n") or None]}
        return web.json_response(self.tamper(answer))

    async def _work(self) -> None:
        if self.failing:
            self.failing -= 1
            raise web.HTTPServiceUnavailable(text='{"error": {"message": "overloaded"}}')
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.delay)
        finally:
            self.at_once -= 1

    def _require_key(self, request: web.Request) -> None:
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            raise web.HTTPUnauthorized


def _cosine(one: str, other: str) -> float:
    first, second = HashEmbedder(64).embed([one, other])
    return sum(a * b for a, b in zip(first, second, strict=True))


LENGTH = {"max_model_len": 512}


@asynccontextmanager
async def serving(double: Double) -> AsyncIterator[Double]:
    """The double on a port of its own."""
    app = web.Application()
    app.router.add_get("/v1/models", double.models)
    app.router.add_post("/v1/embeddings", double.embeddings)
    app.router.add_post("/rerank", double.rerank)
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
