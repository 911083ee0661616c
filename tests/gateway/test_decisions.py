"""Pure decisions: enough evidence, what an answer is worth, where a source opens, what a failure is told as."""

from dataclasses import replace
from datetime import date

import pytest

from gateway.answers.events import Reason, Status
from gateway.errors import Invalid, as_gateway_error
from gateway.http.wire import location
from gateway.policy import confidence_in, enough_evidence, judge, warnings
from retrieval.catalog import Passage
from retrieval.errors import AccessMissing, CatalogError, IndexNotSealed, RetrievalError, StoreLocked
from retrieval.findings import Findings, Found
from retrieval.store import ChunkRef
from serving.errors import (
    EngineAborted,
    EngineRefused,
    EngineUnavailable,
    GenerationTimeout,
    PromptTooLong,
    WrongModel,
)
from serving.grounding import Citation, Grounding
from serving.prompt import Evidence
from tests.gateway.house import pinned_recipe

EVIDENCE = Evidence(1, "d", "sha256:0", "t", "s", (), None, 0, 4, "word")
CITED = Citation(1, (0, 4), EVIDENCE, 0, 4, "word", "sha256:0", 1.0, "model")


def findings(confidence: float, passages: int = 1) -> Findings:
    passage = Passage(ChunkRef("d", "sha256:0", 0, 4, (), None), "t", "s", None, date(2026, 1, 1), "word")
    return Findings((Found(passage, 1.0, confidence, 1.0, None),) * passages, confidence, {}, 0, 0, False)


@pytest.mark.parametrize(
    ("confidence", "passages", "reason"),
    [(0.0, 0, "no_hits"), (0.19, 1, "below_threshold"), (0.2, 1, None), (0.9, 3, None), (-1.0, 2, "below_threshold")],
)
def test_the_index_versions_threshold_decides(confidence: float, passages: int, reason: Reason | None) -> None:
    found = findings(confidence, passages)
    assert enough_evidence(found, confidence_in(found, pinned_recipe(), None)) == reason


@pytest.mark.parametrize(
    ("citations", "unsupported", "abstained", "verdict"),
    [
        ((CITED,), (), False, ("answered", None)),
        ((CITED,), ((5, 9),), False, ("review", "ungrounded")),
        ((), (), False, ("review", "ungrounded")),
        ((), ((0, 4),), False, ("review", "ungrounded")),
        ((), (), True, ("abstained", "ungrounded")),
    ],
)
def test_only_an_answer_that_is_cited_throughout_stands(
    citations: tuple[Citation, ...],
    unsupported: tuple[tuple[int, int], ...],
    abstained: bool,
    verdict: tuple[Status, Reason | None],
) -> None:
    assert judge(Grounding(citations, unsupported, 1.0, abstained), (), cut=False) == verdict


def test_a_cut_answer_and_one_off_its_schema_go_to_review() -> None:
    supported = Grounding((CITED,), (), 1.0, abstained=False)
    assert judge(supported, (), cut=True) == ("review", "ungrounded")
    assert judge(supported, ["/days: not a number"], cut=False) == ("review", "policy")


@pytest.mark.parametrize(
    ("heading", "page", "where"),
    [
        ((), None, "a/b.md"),
        (("Refunds",), None, "a/b.md#refunds"),
        (("Refunds", "Paying out: when?"), None, "a/b.md#paying-out-when"),
        (("Rückgaben 📦",), None, "a/b.md#r%C3%BCckgaben"),
        (("📦",), None, "a/b.md"),
        (("Refunds",), 3, "a/b.md#page=3"),
    ],
)
def test_a_location_opens_the_source_at_the_right_place(heading: tuple[str, ...], page: int | None, where: str) -> None:
    assert location("a/b.md", heading, page) == where


def test_a_source_that_names_a_place_itself_is_left_alone() -> None:
    assert location("https://wiki.example/a#part", ("Refunds",), 3) == "https://wiki.example/a#part"


@pytest.mark.parametrize(
    ("error", "status", "code", "again"),
    [
        (Invalid("no", param="x"), 422, "invalid_request", None),
        (PromptTooLong(tokens=9, limit=5), 422, "invalid_request", None),
        (GenerationTimeout("total", 5), 504, "deadline_exceeded", None),
        (EngineUnavailable("http://10.0.0.7"), 503, "engine_unavailable", 5.0),
        (EngineUnavailable("http://10.0.0.7", retry_after=9), 503, "engine_unavailable", 9),
        (EngineAborted("10.0.0.7"), 503, "engine_unavailable", 1.0),
        (EngineRefused("10.0.0.7", status=400), 503, "engine_unavailable", 1.0),
        (WrongModel("10.0.0.7", "b"), 503, "engine_unavailable", 1.0),
        (CatalogError("10.0.0.7"), 503, "catalog_unavailable", 5.0),
        (StoreLocked("10.0.0.7"), 503, "store_unavailable", 5.0),
        (IndexNotSealed("10.0.0.7"), 503, "store_unavailable", 5.0),
        (AccessMissing("10.0.0.7"), 503, "store_unavailable", 5.0),
        (RetrievalError("10.0.0.7"), 503, "store_unavailable", 5.0),
        (ValueError("10.0.0.7"), 500, "internal_error", None),
    ],
)
def test_every_failure_becomes_one_refusal_that_tells_nothing_internal(
    error: Exception, status: int, code: str, again: float | None
) -> None:
    told = as_gateway_error(error)
    assert (told.status, told.code, told.retry_after) == (status, code, again)
    assert "10.0.0.7" not in str(told.body("req_1"))
    assert told.body("req_1")["error"]["request_id"] == "req_1"


def test_where_nothing_is_cited_the_best_found_is_looked_at_wherever_it_was_shown() -> None:
    (one,) = findings(0.5).passages
    best, other = replace(one, rank=1, old=True), replace(one, rank=2)
    assert warnings((other, best), ()) == warnings((best, other), ()) != ()
    assert warnings((other, best), (CITED,)) == (), "what is cited is not old"
