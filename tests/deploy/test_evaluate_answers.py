"""Answers of a real gateway to golden questions, each with what became of it and which stage failed it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from deploy.evaluate_answers import answer_rows, load_questions, readable_by, sample_questions
from deploy.golden import GoldenError
from deploy.keys import read_keys
from deploy.scoring import Golden, Judged, label, label_counts
from tests.deploy.commandline import Cli, refused
from tests.gateway.house import REFUND, REFUND_QUESTION, House

STAFF = {"tenant": "acme", "subject": "ada", "groups": ["staff"]}
REFUNDS = {"documents": ["policies/refunds.md"], "facts": ["45 days"], **STAFF}


@pytest.fixture
def here(served: House, environment: pytest.MonkeyPatch) -> House:
    """Commands know the gateway's own folder and pins."""
    environment.setenv("TWINPIN_DATA", str(served.settings.data))
    environment.setenv("TWINPIN_RELEASES", str(served.settings.releases))
    return served


def written(tmp_path: Path, *rows: dict[str, Any]) -> str:
    path = tmp_path / "golden.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


@pytest.fixture
def local(here: House, environment: pytest.MonkeyPatch) -> House:
    """No address is set, so that callers get keys of their own."""
    environment.setenv("TWINPIN_PORT", os.environ["TWINPIN_URL"].rpartition(":")[2])
    environment.delenv("TWINPIN_URL")
    return here


def test_what_became_of_each_question(cli: Cli, local: House, tmp_path: Path) -> None:
    local.model.says(f"{REFUND} [1]")
    golden = written(
        tmp_path,
        {"question": REFUND_QUESTION, **REFUNDS},
        {"question": REFUND_QUESTION, **REFUNDS, "facts": ["60 days"]},
        {"question": REFUND_QUESTION, **REFUNDS, "documents": ["policies/none.md"], "facts": ["60 days"]},
        {"question": REFUND_QUESTION, **REFUNDS, "documents": ["hr/salaries.md"], "facts": ["61000"]},
        {"question": REFUND_QUESTION, **REFUNDS, "documents": []},
        {"question": "Zebra crossings of Wakanda?", **REFUNDS, "documents": []},
    )
    rows = tmp_path / "rows.jsonl"
    before = set(read_keys(local.settings.keys).keys)
    said = cli("evaluate", "answers", "--golden", golden, "--rows", str(rows), "--json")
    assert said.code == 0, said.err
    told = [json.loads(line) for line in rows.read_text("utf-8").splitlines()]
    assert [one["label"] for one in told] == [
        "right",
        "stale knowledge",
        "missing knowledge",
        "missing knowledge",  # it is there, and this caller may not read it
        "false answer",
        "right",
    ]
    first = told[0]
    assert (first["status"], first["cites_expected"], first["found"][0]["rank"]) == ("answered", True, 1)
    assert json.loads(said.out)["labels"] == {
        "right": 2,
        "missing knowledge": 2,
        "stale knowledge": 1,
        "false answer": 1,
    }
    assert set(read_keys(local.settings.keys).keys) == before, "keys of its own are gone again"


def test_an_answer_without_the_fact_and_one_without_support(cli: Cli, local: House, tmp_path: Path) -> None:
    golden = written(tmp_path, {"question": REFUND_QUESTION, **REFUNDS})
    labels = []
    for words in (
        "Parrots keep the moon for a year. [1]",
        "The refund is paid out within 10 working days. [2]",
        "I do not know.",
    ):
        local.model.says(words)
        labels += json.loads(cli("evaluate", "answers", "--golden", golden, "--json").out)["labels"]
    assert labels == ["ungrounded", "weak reasoning", "false abstention"]


def test_a_gateway_elsewhere_is_asked_with_the_key_that_is_set(
    cli: Cli, here: House, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    golden = written(tmp_path, {"question": REFUND_QUESTION, **REFUNDS})
    assert "TWINPIN_API_KEY" in refused(cli("evaluate", "answers", "--golden", golden))
    environment.setenv("TWINPIN_API_KEY", here.keys["ana"])
    here.model.says(f"{REFUND} [1]")
    assert "what became of them" in cli("evaluate", "answers", "--golden", golden).out


def test_a_file_of_questions_may_leave_out_what_its_documents_say(tmp_path: Path) -> None:
    path = Path(written(tmp_path, {"question": "?", "documents": [], **STAFF}, {"question": "!", **REFUNDS, "id": "r"}))
    first, second = (one.golden for one in load_questions(path))
    assert (first.id, first.caller, first.answerable, first.facts) == ("1", "ada of acme", False, ())
    assert (second.id, second.answerable, second.split) == ("r", True, "test")
    path.write_text('{"question": "?"}')
    with pytest.raises(GoldenError, match=r"line 1 of 'golden\.jsonl'"):
        load_questions(path)


def test_the_sample_has_questions_for_callers_whose_documents_are_known() -> None:
    questions = sample_questions()
    assert {one.golden.answerable for one in questions} == {True, False}
    readable = {one.principal: readable_by(one.principal) for one in questions if one.golden.answerable}
    assert all(set(one.golden.documents) & readable[one.principal] for one in questions if one.golden.answerable)


def judged(status: str, reason: str | None = None, *, answerable: bool = True, **fields: Any) -> Judged:
    golden = Golden("q", "dev", "ana", "?", answerable, ("a",) if answerable else (), ("45 days",), None)
    base = {"cited_expected": False, "has_fact": False, "spans": 0, "true_spans": 0, "leaks": 0}
    return Judged(golden, "said", status, reason=reason, **{**base, **fields})


@pytest.mark.parametrize(
    ("one", "due"),
    [
        (judged("answered", has_fact=True), "right"),
        (judged("answered", has_fact=True, shown=False), "right"),
        (judged("review", "ungrounded", has_fact=True), "ungrounded"),
        (judged("review", "policy"), "bad format"),
        (judged("answered"), "weak reasoning"),
        (judged("answered", shown=False), "wrong retrieval"),
        (judged("abstained", "below_threshold", shown=False), "wrong retrieval"),
        (judged("abstained", "below_threshold"), "false abstention"),
        (judged("abstained", "no_hits", known=False, current=False, shown=False), "missing knowledge"),
        (judged("answered", current=False), "stale knowledge"),
        (judged("abstained", answerable=False), "right"),
        (judged("answered", answerable=False), "false answer"),
        (judged("review", "policy", answerable=False), "bad format"),
    ],
)
def test_a_failure_is_put_down_to_the_first_stage_that_failed(one: Judged, due: str) -> None:
    assert label(one) == due
    assert answer_rows([one])[0]["label"] == due


def test_labels_are_counted() -> None:
    assert label_counts([judged("answered"), judged("abstained"), judged("answered")]) == {
        "weak reasoning": 2,
        "false abstention": 1,
    }
