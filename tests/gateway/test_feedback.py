"""What users say of answers, the queue of answers to look at, and what reviewers decide."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import pytest
import structlog
from httpx2 import Response

from deploy.keys import create_key
from gateway.records.feedback import Failure
from retrieval.sql.database import Database
from tests.gateway.house import REFUND_QUESTION, SALARY, House
from tests.gateway.test_records import open_house, record

WHO: dict[str, tuple[str, list[str], list[str]]] = {
    "fay": ("acme", ["staff"], ["ask", "feedback"]),
    "finn": ("acme", ["staff"], ["ask", "feedback"]),
    "rita": ("acme", ["staff"], ["review"]),
    "rhea": ("acme", ["hr"], ["review"]),
    "rolf": ("other", ["staff"], ["review", "feedback", "ask"]),
}
UNGROUNDED = "Customers may ask for a refund within 90 weeks of purchase, and pigeons deliver it [1]."


@pytest.fixture
def house(tmp_path: Path, logged: list[structlog.typing.EventDict]) -> Iterator[House]:
    with open_house(tmp_path, record_content="redacted") as made:
        for name, (tenant, groups, scopes) in WHO.items():
            made.keys[name] = create_key(made.settings.keys, tenant=tenant, subject=name, groups=groups, scopes=scopes)
        yield made


def say(house: House, who: str, answer: str, rating: str = "up", **fields: object) -> Response:
    return house.post("/v1/feedback", {"answer": answer, "rating": rating, **fields}, who)


def decide(house: House, who: str, answer: str, decision: str = "accept", **fields: object) -> Response:
    return house.post("/v1/review", {"answer": answer, "decision": decision, **fields}, who)


def queue(house: House, who: str, query: str = "") -> Any:
    response = house.client.get(f"/v1/review{query}", headers=house.headers(who))
    assert response.status_code == 200, response.text
    return response.json()


def feedback_counted(house: House, **labels: str) -> float:
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    counted = {key: value for key, value in house.metrics().items() if key.startswith("twinpin_feedback_total{")}
    return sum(value for key, value in counted.items() if all(one in key for one in wanted))


def bad_answer(house: House, who: str = "fay", question: str | None = None) -> str:
    house.model.says(UNGROUNDED)
    asked = (house.ask(question, who) if question else house.ask(caller=who)).json()
    assert asked["status"] == "review"
    identified: str = asked["id"]
    return identified


def test_what_a_user_says_is_kept_with_the_answer(house: House) -> None:
    answer = house.ask(caller="fay").json()["id"]
    told = {"failure": "stale knowledge", "correction": "It is 60 days.", "comment": "Ask ben@acme.example."}
    response = say(house, "fay", answer, "down", **told)
    assert response.status_code == 200
    assert response.json() == {
        "object": "feedback",
        "id": response.json()["id"],
        "created": response.json()["created"],
        "answer": answer,
        "rating": "down",
        "failure": "stale knowledge",
    }
    (kept,) = record(house, answer)["about"]
    assert (kept["kind"], kept["subject"], kept["of"]) == ("feedback", "fay", answer)
    assert kept["facts"] == {"rating": "down", "failure": "stale knowledge"}
    assert kept["words"] == {"correction": "It is 60 days.", "comment": "Ask [email]."}
    assert feedback_counted(house, failure="stale knowledge", corrected="yes") == 1


def test_the_last_word_counts_and_every_word_is_kept(house: House) -> None:
    answer = house.ask(caller="fay").json()["id"]
    first = say(house, "fay", answer, "down", failure="wrong tone").json()
    again = say(house, "fay", answer, "down", failure="wrong tone").json()
    assert again == first, "said twice it is kept once"
    last = say(house, "fay", answer, "up").json()
    assert last["id"] != first["id"]
    assert [one["id"] for one in record(house, answer)["about"]] == [first["id"], last["id"]]
    assert feedback_counted(house, failure="wrong tone", corrected="no") == 1


def test_the_same_said_many_times_at_once_is_kept_and_counted_once(house: House) -> None:
    answer = house.ask(caller="fay").json()["id"]
    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(lambda _: say(house, "fay", answer, "down", failure="wrong tone"), range(8)))
    assert [one.status_code for one in told] == [200] * 8
    assert len({one.json()["id"] for one in told}) == len(record(house, answer)["about"]) == 1
    assert feedback_counted(house, failure="wrong tone") == 1


def test_a_page_of_the_queue_takes_no_more_statements_than_one_answer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        say(house, "fay", bad_answer(house), "down")
    asked, connect = [0], Database.connect

    def counted(database: Database) -> Any:
        asked[0] += 1
        return connect(database)

    monkeypatch.setattr(Database, "connect", counted)
    taken = []
    for limit in (1, 4):
        asked[0] = 0
        assert len(queue(house, "rita", f"?limit={limit}")["data"]) == limit
        taken.append(asked[0])
    assert taken[0] == taken[1]


def test_every_failure_of_the_list_is_taken_and_no_other(house: House) -> None:
    answer = house.ask(caller="fay").json()["id"]
    for failure in get_args(Failure):
        assert say(house, "fay", answer, "down", failure=failure).status_code == 200
    wrong: list[dict[str, Any]] = [
        {"rating": "down", "failure": "boredom"},
        {"rating": "up", "failure": "wrong tone"},
        {"rating": "sideways"},
        {"rating": "up", "comment": ""},
        {"rating": "up", "stars": 5},
    ]
    for fields in wrong:
        assert say(house, "fay", answer, **fields).status_code == 422
    assert say(house, "fay", "../ans", "up").status_code == 422


def test_nobody_speaks_of_what_others_were_told_and_cannot_tell_it_from_nothing(house: House) -> None:
    answer = house.ask(caller="fay").json()["id"]
    feedback = say(house, "fay", answer).json()["id"]
    for stranger in ("finn", "rolf"):
        denied, missing = say(house, stranger, answer), say(house, stranger, "ans_" + "0" * 24)
        bodies = [one.json()["error"] | {"request_id": ""} for one in (denied, missing)]
        assert denied.status_code == missing.status_code == 404
        assert bodies[0] == bodies[1]
    assert say(house, "fay", feedback.replace("fb_", "ans_")).status_code == 404
    assert say(house, "rita", answer).status_code == 200, "whoever reviews may speak of all of the tenant"
    assert decide(house, "rolf", answer).status_code == 404


def test_the_queue_shows_what_failed_its_check_oldest_first(house: House) -> None:
    house.ask(caller="fay")
    bad = [bad_answer(house) for _ in range(3)]
    bad_answer(house, "rolf")
    say(house, "fay", bad[1], "down", failure="hallucination")
    page = queue(house, "rita", "?limit=2")
    assert [one["answer"] for one in page["data"]] == bad[:2]
    assert [one["answer"] for one in queue(house, "rita", f"?limit=2&after={page['next']}")["data"]] == bad[2:]
    shown = page["data"][1]
    assert (shown["outcome"], shown["reason"], shown["text"]) == ("review", "ungrounded", UNGROUNDED)
    assert shown["feedback"] == [{"rating": "down", "failure": "hallucination", "corrected": False}]
    assert len(queue(house, "rolf")["data"]) == 1


def test_a_reviewer_reads_no_words_of_documents_that_are_not_theirs(house: House) -> None:
    house.model.says("Engineers earn millions and a yacht [1].")
    answer = house.ask("What is the salary band for engineers?", "hanneke").json()
    assert answer["status"] == "review"
    (blind,) = queue(house, "rita")["data"]
    assert (blind["withheld"], blind["question"], blind["text"]) == (True, None, None)
    assert "hr/salaries.md" not in str(blind)
    assert SALARY not in str(blind)
    (seeing,) = queue(house, "root")["data"]
    assert (seeing["withheld"], seeing["text"]) == (False, "Engineers earn millions and a yacht [1].")
    assert "hr/salaries.md" in str(seeing)


def test_a_follow_ups_words_may_be_an_earlier_documents(house: House) -> None:
    turns = [{"role": "user", "content": "What is the salary band?"}, {"role": "assistant", "content": SALARY}]
    house.model.says(f"{UNGROUNDED} {SALARY}")
    asked = house.post("/v1/answer", {"messages": [*turns, {"role": "user", "content": REFUND_QUESTION}]}, "fay")
    assert asked.json()["status"] == "review"
    (blind,) = queue(house, "rita")["data"]
    assert (blind["withheld"], blind["question"], blind["text"]) == (True, None, None)
    assert blind["passages"], "what it found may be read"
    assert SALARY not in str(blind)
    (seeing,) = queue(house, "root")["data"]
    assert (seeing["withheld"], seeing["question"]) == (False, REFUND_QUESTION)


def test_the_first_decision_stands(house: House) -> None:
    answer = bad_answer(house)
    wrong = decide(house, "rita", answer, "correct")
    assert wrong.status_code == 422
    first = decide(house, "rita", answer, "correct", correction="Within 45 days.", note="by ana@acme.example")
    assert first.status_code == 200
    assert (
        decide(house, "rita", answer, "correct", correction="Within 45 days.", note="by ana@acme.example").json()
        == first.json()
    )
    other = decide(house, "rhea", answer, "reject")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "already_decided")
    assert queue(house, "rita")["data"] == []
    (kept,) = record(house, answer)["about"]
    assert (kept["kind"], kept["facts"]) == ("decision", {"decision": "correct"})
    assert kept["words"] == {"correction": "Within 45 days.", "note": "by [email]"}
    assert house.metrics()['twinpin_review_decisions_total{decision="correct"}'] == 1


def test_a_cursor_that_nobody_gave_is_refused(house: House) -> None:
    response = house.client.get("/v1/review?after=!!", headers=house.headers("rita"))
    assert (response.status_code, response.json()["error"]["param"]) == (422, "after")
