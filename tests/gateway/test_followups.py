"""A follow-up is searched for as it stands alone; the model is asked in the user's own words, and all of it is told."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from httpx2 import Response
from starlette.testclient import TestClient
from structlog.typing import EventDict

from deploy.pins import Pin
from gateway.app import create_app
from serving.errors import EngineUnavailable
from serving.generator import GenerationRequest
from serving.manifest import ModelManifest, RewritePrompt, Rewriting
from serving.scripted import Script, pieces_of
from tests.gateway.house import (
    REFUND,
    House,
    Model,
    chunks,
    events,
    make_house,
    opening,
    pinned_manifest,
    pinned_recipe,
)

FIRST, ANSWER, FOLLOW_UP = (
    "Within how many days may customers ask for a refund?",
    "Within 45 days [1].",
    "And why that?",
)
STANDING = "And why a refund?"
BY_RULE = pinned_manifest("rule", rewrite=Rewriting("rule"))
PROMPT = RewritePrompt("Write it so that it stands alone.", "{role}: {text}\n", "{turns}\nfollow-up: {question}")
BY_MODEL = pinned_manifest("model", rewrite=Rewriting("model", PROMPT))
WRITTEN = "And why may customers ask for a refund, why that?"


class TwoVoices(Model):
    """Rewrites where it is asked to, and else says what it is to say."""

    writes: str | None = None

    def __call__(self, request: GenerationRequest) -> Script:
        writing = self.writes is not None and request.messages[0].content == PROMPT.system
        return Script(pieces_of(self.writes or "")) if writing else self.script


def opened(folder: Path, manifest: ModelManifest) -> Iterator[House]:
    """A gateway whose pinned model version is this one."""
    folder.mkdir()
    made = make_house(folder)
    made.model = TwoVoices()
    made.pin(Pin(pinned_recipe().name), Pin(made.describe(manifest)))
    made.model.says(f"{REFUND[:-1]} [1].")
    made.app = create_app(made.settings, opening(made))
    with TestClient(made.app) as client:
        made.client = client
        yield made


@pytest.fixture
def ruled(tmp_path: Path, logged: list[EventDict]) -> Iterator[House]:
    yield from opened(tmp_path / "rule", BY_RULE)


@pytest.fixture
def modelled(tmp_path: Path, logged: list[EventDict]) -> Iterator[House]:
    yield from opened(tmp_path / "model", BY_MODEL)


def conversation(*turns: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[place % 2], "content": turn} for place, turn in enumerate(turns)]


def follow_up(house: House, path: str = "/v1/answer", **fields: object) -> Response:
    return house.post(path, {"messages": conversation(FIRST, ANSWER, FOLLOW_UP), **fields})


def record(logged: list[EventDict]) -> EventDict:
    return next(line for line in reversed(logged) if line["event"] == "answer")


def asked(house: House) -> list[str]:
    return [message.content for message in house.generator.exchanges[-1].request.messages]


def rewrites(house: House) -> dict[str, float]:
    return {key: value for key, value in house.metrics().items() if key.startswith("twinpin_rewrites_total")}


def counted(by: str, failure: str = "none") -> dict[str, float]:
    return {f'twinpin_rewrites_total{{by="{by}",failure="{failure}",model="{BY_MODEL.name}"}}': 1.0}


def test_what_a_follow_up_leaves_out_is_found(house: House, ruled: House, logged: list[EventDict]) -> None:
    """The same turn under a version that does not rewrite finds nothing."""
    plain = follow_up(house).json()
    assert (plain["status"], plain["reason"], plain["searched_for"]) == ("abstained", "below_threshold", None)
    answer = follow_up(ruled).json()
    assert (answer["status"], answer["searched_for"]) == ("answered", STANDING)
    assert answer["citations"][0]["quote"] == REFUND
    assert answer["timings"]["rewrite"] >= 0
    assert record(logged)["rewritten"] == "rule"


def test_the_model_is_asked_in_the_users_own_words(ruled: House) -> None:
    follow_up(ruled)
    *history, last = asked(ruled)[1:]
    assert history == [FIRST, "Within 45 days."]
    assert FOLLOW_UP in last
    assert STANDING not in last


def test_every_wire_tells_what_was_searched_for(ruled: House) -> None:
    streamed = events(follow_up(ruled, stream=True).content)
    assert (streamed[0].name, streamed[0].data["searched_for"]) == ("sources", STANDING)
    chat = follow_up(ruled, "/v1/chat/completions", model="twinpin").json()
    assert chat["twinpin"]["searched_for"] == STANDING
    *_, last, done = chunks(follow_up(ruled, "/v1/chat/completions", model="twinpin", stream=True).content)
    assert (last["twinpin"]["searched_for"], done) == (STANDING, "[DONE]")


@pytest.mark.parametrize("question", [FIRST, "How many days of annual leave does every employee have?"])
def test_what_stands_alone_is_searched_for_as_it_was_asked(ruled: House, question: str) -> None:
    alone = ruled.ask(question).json()
    assert alone["searched_for"] is None
    assert "rewrite" not in alone["timings"]
    after = ruled.post("/v1/answer", {"messages": conversation(FIRST, ANSWER, question)}).json()
    assert (after["searched_for"], after["status"]) == (None, alone["status"])
    assert rewrites(ruled) == {}


def test_what_was_searched_for_is_kept_as_a_digest_alone(
    ruled: House, logged: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Any] = []
    monkeypatch.setattr("gateway.telemetry.metrics.Metrics.answer", lambda self, one: kept.append(one))
    follow_up(ruled)
    assert kept[0].asker.searched_digest == f"sha256:{hashlib.sha256(STANDING.encode()).hexdigest()}"
    assert kept[0].asker.question_digest == f"sha256:{hashlib.sha256(FOLLOW_UP.encode()).hexdigest()}"
    assert (kept[0].rewritten_by, kept[0].rewrite_failure) == ("rule", None)
    assert STANDING not in str(logged)


def test_the_model_may_do_it_and_what_that_takes_counts(modelled: House, logged: list[EventDict]) -> None:
    cast("TwoVoices", modelled.model).writes = WRITTEN
    answer = follow_up(modelled).json()
    assert (answer["status"], answer["searched_for"]) == ("answered", WRITTEN)
    wrote, said = (exchange for exchange in modelled.generator.exchanges[-2:])
    assert wrote.request.cache_salt == said.request.cache_salt
    assert answer["usage"]["completion_tokens"] == len(wrote.given) + len(said.given)
    assert record(logged)["rewritten"] == "model"
    assert rewrites(modelled) == counted("model")


def test_where_the_model_does_not_the_rule_does(modelled: House) -> None:
    """The scripted model says the same to everything: no question, so it cannot be what was meant."""
    answer = follow_up(modelled).json()
    assert (answer["status"], answer["searched_for"]) == ("answered", STANDING)
    assert rewrites(modelled) == {
        f'twinpin_rewrites_total{{by="rule",failure="unusable",model="{BY_MODEL.name}"}}': 1.0
    }


def test_an_engine_that_is_gone_is_told_by_the_answer_not_by_the_rewriting(modelled: House) -> None:
    modelled.model.script = Script(refused=EngineUnavailable("gone"))
    assert follow_up(modelled).status_code == 503
    assert rewrites(modelled) == counted("rule", "engine")
