"""The running product as its callers see it, and the catalog beside it to hold what they are told against."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from deploy.pinboard import read_pinboard
from retrieval.catalog import Catalog
from retrieval.index import load_recipe
from tests.conftest import RunningStack

STATUSES = {"answered", "abstained", "review"}
QUESTIONS = (
    "When does the lease of Canal Wharf run out?",
    "Who is our data protection officer?",
    "How many days of annual leave do I get?",
    "How long is the notice period during probation?",
    "What is the minimum password length?",
    "How long does probation last?",
    "Until when can I still hand in the receipts of a trip?",
    "By when does an Enterprise customer have to ask for their money back?",
    "learning budget per year",
)
OFF_TOPIC = "Which spices belong into a Moroccan lamb tagine?"
PATIENCE = 120.0


@dataclass(frozen=True)
class Product:
    """Callers by the names of the sample corpus."""

    stack: RunningStack
    http: httpx2.Client

    def headers(self, caller: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.stack.keys[caller]}"}

    def post(self, path: str, body: dict[str, Any], caller: str = "ana") -> httpx2.Response:
        return self.http.post(path, json=body, headers=self.headers(caller))

    def ask(self, question: str, caller: str = "ana", **fields: Any) -> dict[str, Any]:
        response = self.post("/v1/answer", {"question": question, **fields}, caller)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        assert answer["status"] in STATUSES
        return answer

    def search(self, query: str, caller: str = "ana") -> list[dict[str, Any]]:
        passages: list[dict[str, Any]] = self.post("/v1/search", {"query": query}, caller).json()["passages"]
        return passages

    @contextmanager
    def streaming(self, question: str, caller: str = "ana", **fields: Any) -> Iterator[Iterator[tuple[str, Any]]]:
        """Named events as they come."""
        body = {"question": question, "stream": True, **fields}
        with self.http.stream("POST", "/v1/answer", json=body, headers=self.headers(caller)) as response:
            assert response.status_code == 200
            yield _events(response.iter_lines())

    async def require_true(self, citations: list[dict[str, Any]], tenant: str) -> None:
        """Every citation's quote stands at its span of the stored text of a version that this tenant has."""
        settings = self.stack.settings
        parser = load_recipe(read_pinboard(settings.releases).index_recipe()).parser
        async with Catalog.open(settings.catalog) as catalog:
            for citation in citations:
                text = await catalog.text(tenant, citation["document"], citation["version"], parser)
                start, end = citation["span"]
                assert text is not None, citation
                assert text[start:end] == citation["quote"] != ""


def _events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))
