"""The clients people already have, unchanged: OpenAI's own, LangChain's, and our command line."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from openai import APIStatusError, AuthenticationError, NotFoundError, OpenAI
from pydantic import SecretStr

from deploy.sampling import DOCUMENTS
from tests.journeys.product import OFF_TOPIC, PATIENCE, QUESTIONS, STATUSES, Product

pytestmark = pytest.mark.real_engine

MESSAGES: Any = [{"role": "user", "content": QUESTIONS[0]}]


@pytest.fixture
def client(product: Product) -> Iterator[OpenAI]:
    key = product.stack.keys["ana"]
    with OpenAI(base_url=f"{product.stack.url}/v1", api_key=key, max_retries=0, timeout=PATIENCE) as opened:
        yield opened


async def test_openai_completes_with_annotations(client: OpenAI, product: Product) -> None:
    completion = client.chat.completions.create(model="twinpin", messages=MESSAGES)
    choice = completion.choices[0]
    assert choice.finish_reason in ("stop", "length")
    assert choice.message.content
    assert completion.usage is not None
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    ours: dict[str, Any] = completion.model_extra["twinpin"] if completion.model_extra else {}
    assert ours["status"] in STATUSES
    await product.require_true(ours["citations"], "tallis")
    annotations = choice.message.annotations or []
    assert len(annotations) == len(ours["citations"])
    for annotation, citation in zip(annotations, ours["citations"], strict=True):
        cited = annotation.url_citation
        assert [cited.start_index, cited.end_index] == citation["answer_span"]
        assert (cited.url, cited.title) == (citation["source"], citation["title"])


def test_openai_streams_the_same_with_usage_in_the_last_chunk(client: OpenAI) -> None:
    client.chat.completions.create(model="twinpin", messages=MESSAGES)  # its prompt is cached for both that follow
    whole = client.chat.completions.create(model="twinpin", messages=MESSAGES)
    chunks = list(
        client.chat.completions.create(
            model="twinpin", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
    )
    *told, last = chunks
    assert "".join(chunk.choices[0].delta.content or "" for chunk in told) == whole.choices[0].message.content
    assert told[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert last.choices == []
    assert last.usage is not None
    assert whole.usage is not None
    assert last.usage.completion_tokens == whole.usage.completion_tokens
    extras = [chunk.choices[0].delta.model_extra or {} for chunk in told]
    (annotations,) = [extra["annotations"] for extra in extras if "annotations" in extra]
    assert annotations == [one.model_dump() for one in whole.choices[0].message.annotations or []]


def test_openai_sees_an_abstention_as_a_completion(client: OpenAI) -> None:
    completion = client.chat.completions.create(model="twinpin", messages=[{"role": "user", "content": OFF_TOPIC}])
    assert completion.choices[0].message.content
    assert completion.model_extra is not None
    assert completion.model_extra["twinpin"]["status"] != "answered"


def test_openai_names_our_refusals(client: OpenAI) -> None:
    with pytest.raises(NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    with pytest.raises(AuthenticationError) as stranger:
        client.with_options(api_key="tp_stranger").chat.completions.create(model="twinpin", messages=MESSAGES)
    assert stranger.value.code == "invalid_api_key"
    with pytest.raises(APIStatusError) as twice:
        client.chat.completions.create(model="twinpin", messages=MESSAGES, n=2)
    assert (twice.value.status_code, twice.value.param) == (422, "n")
    assert [model.id for model in client.models.list()] == ["twinpin"]


def test_langchain_invokes_and_streams(product: Product) -> None:
    key = SecretStr(product.stack.keys["ana"])
    chat = ChatOpenAI(model="twinpin", base_url=f"{product.stack.url}/v1", api_key=key, max_retries=0, timeout=PATIENCE)
    chat.invoke(QUESTIONS[0])  # its prompt is cached for both that follow
    message = chat.invoke(QUESTIONS[0])
    assert isinstance(message.content, str)
    assert message.content
    assert message.usage_metadata is not None
    assert message.usage_metadata["total_tokens"] > 100
    pieces = list(chat.stream(QUESTIONS[0]))
    assert len(pieces) > 2
    assert "".join(str(piece.content) for piece in pieces) == message.content


def twinpin(product: Product, *arguments: str, caller: str | None = "ana") -> subprocess.CompletedProcess[str]:
    settings = product.stack.settings
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TWINPIN_")} | {
        "TWINPIN_URL": settings.url,
        "TWINPIN_DATA": str(settings.data),
        "TWINPIN_RELEASES": str(settings.releases.absolute()),
        "COLUMNS": "200",
    }
    if caller is not None:
        environment["TWINPIN_API_KEY"] = product.stack.keys.get(caller, caller)
    command = [sys.executable, "-m", "deploy", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)


async def test_twinpin_asks_for_people_and_for_programs(product: Product) -> None:
    shown = twinpin(product, "ask", QUESTIONS[0])
    assert (shown.returncode, shown.stderr) == (0, "")
    assert any(status in shown.stdout for status in STATUSES)
    assert product.stack.model in shown.stdout
    printed = twinpin(product, "ask", QUESTIONS[0], "--json")
    answer = json.loads(printed.stdout)
    assert answer["status"] in STATUSES
    await product.require_true(answer["citations"], "tallis")


def test_twinpin_searches_for_people_and_for_programs(product: Product) -> None:
    shown = twinpin(product, "search", "annual leave", "--limit", "3")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "tallis/handbook/leave.md" in shown.stdout
    printed = json.loads(twinpin(product, "search", "annual leave", "--limit", "3", "--json").stdout)
    assert len(printed["passages"]) == 3
    nothing = twinpin(product, "search", "annual leave", caller="eve")
    assert nothing.returncode == 0
    assert "nothing found" in nothing.stdout


@pytest.mark.parametrize("caller", [None, "tp_stranger"])
def test_twinpin_says_in_one_line_why_it_may_not(product: Product, caller: str | None) -> None:
    refused = twinpin(product, "ask", QUESTIONS[0], caller=caller)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr.startswith("twinpin: ")
    assert refused.stderr.count("\n") == 1


def test_ingesting_through_the_gateway_needs_a_key_for_it_and_changes_nothing_without(product: Product) -> None:
    before = product.search(QUESTIONS[0])
    refused = twinpin(product, "ingest", str(DOCUMENTS))
    assert refused.returncode == 2
    assert "lacks the scope 'documents:write'" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert product.search(QUESTIONS[0]) == before
    assert product.http.get("/readyz").status_code == 200
