"""Old evidence is told with the answer, repetitions are shown once, and a caller's dates narrow to the day in UTC."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient
from structlog.typing import EventDict

from gateway.app import create_app
from retrieval.acl import Access
from retrieval.passages.freshness import utc_today
from tests.gateway.house import (
    HR,
    REFUND,
    STAFF,
    House,
    Part,
    Seeded,
    chunks,
    events,
    make_house,
    opening,
    pinned_recipe,
)

LIMIT = pinned_recipe().freshness["aged"]
LONG_AGO, LATELY = utc_today() - timedelta(LIMIT + 9), utc_today() - timedelta(LIMIT - 9)
LUNCH, PARKING = "Lunch is served at noon in the canteen.", "Parking is free on Mondays behind the depot."
QUESTIONS = {LUNCH: "When is lunch served?", PARKING: "When is parking free?"}


def document(name: str, text: str, updated: date | None, access: Access = STAFF, category: str = "aged") -> Seeded:
    return Seeded(name, text, access, (Part(text),), category, updated)


CORPUS = (
    document("lunch.md", LUNCH, LONG_AGO),
    document("parking.md", PARKING, LATELY),
    document("undated.md", "Bicycles stand in the yard by the gate.", None),
    document("copy.md", REFUND.upper(), date(2020, 1, 1)),
    document("refunds.md", REFUND, utc_today()),
    document("hidden.md", f"**{REFUND}**", utc_today() + timedelta(1), HR),
)


@pytest.fixture
def aged(tmp_path: Path, logged: list[EventDict]) -> Iterator[House]:
    """A gateway over documents of different ages."""
    made = make_house(tmp_path)
    made.app = create_app(made.settings, opening(made, CORPUS))
    with TestClient(made.app) as client:
        made.client = client
        logged.clear()
        yield made


def told(aged: House, words: str, **fields: Any) -> list[dict[str, str]]:
    aged.model.says(f"{words[:-1]} [1].")
    answer = aged.ask(QUESTIONS[words], **fields).json()
    assert answer["status"] == "answered"
    return list(answer["warnings"])


def count(aged: House, name: str) -> float:
    return aged.metrics()[f'{name}{{index="{pinned_recipe().name}"}}']


def test_an_answer_from_old_evidence_says_so(aged: House, logged: list[EventDict]) -> None:
    (warning,) = told(aged, LUNCH)
    assert (warning["code"], warning["document"]) == ("old_evidence", "lunch.md")
    assert warning["updated"] == LONG_AGO.isoformat()
    assert warning["updated"] in warning["message"]
    assert "'aged'" in warning["message"]
    assert logged[-1]["warnings"] == ("old_evidence",)
    assert count(aged, "twinpin_old_evidence_total") == 1


def test_an_answer_from_fresh_evidence_warns_of_nothing(aged: House, logged: list[EventDict]) -> None:
    assert told(aged, PARKING) == []
    assert logged[-1]["warnings"] == ()
    assert count(aged, "twinpin_old_evidence_total") == 0


def test_the_best_passage_that_is_cited_decides(aged: House) -> None:
    """Both are in the prompt: the question decides which of them is the better one, the model which is cited."""
    both = f"{LUNCH} {PARKING}"
    for question, said, cited, warned in (
        (QUESTIONS[LUNCH], PARKING, {"parking.md"}, []),
        (QUESTIONS[PARKING], LUNCH, {"lunch.md"}, ["lunch.md"]),
        (QUESTIONS[LUNCH], both, {"lunch.md", "parking.md"}, ["lunch.md"]),
        (QUESTIONS[PARKING], both, {"lunch.md", "parking.md"}, []),
    ):
        aged.model.says(said)
        answer = aged.ask(question).json()
        assert {one["document"] for one in answer["citations"]} == cited
        assert [one["document"] for one in answer["warnings"]] == warned


def test_where_nothing_is_cited_the_best_passage_decides(aged: House) -> None:
    aged.model.says("I do not know.")
    answer = aged.ask(QUESTIONS[LUNCH]).json()
    assert (answer["status"], answer["citations"]) == ("abstained", [])
    assert [one["document"] for one in answer["warnings"]] == ["lunch.md"]
    assert aged.ask(QUESTIONS[LUNCH], "oscar").json()["warnings"] == [], "who finds nothing is told nothing"


def test_a_document_without_a_date_is_never_old(aged: House) -> None:
    aged.model.says("Bicycles stand in the yard by the gate [1].")
    answer = aged.ask("Where do bicycles stand in the yard?").json()
    assert ([one["document"] for one in answer["citations"]], answer["warnings"]) == (["undated.md"], [])


def test_every_wire_carries_the_warning(aged: House) -> None:
    warnings = told(aged, LUNCH)
    streamed = {event.name: event.data for event in events(aged.ask(QUESTIONS[LUNCH], stream=True).text)}
    assert streamed["verdict"]["warnings"] == warnings
    assert aged.chat(QUESTIONS[LUNCH]).json()["twinpin"]["warnings"] == warnings
    *_, last, done = chunks(aged.chat(QUESTIONS[LUNCH], stream=True).text)
    assert (last["twinpin"]["warnings"], done) == (warnings, "[DONE]")


def test_search_says_which_passages_are_old_and_when_they_were_written(aged: House) -> None:
    found = aged.search(f"{LUNCH} {PARKING} bicycles", limit=9).json()["passages"]
    shown = {one["document"]: (one["category"], one["updated"], one["old"]) for one in found}
    assert shown["lunch.md"] == ("aged", LONG_AGO.isoformat(), True)
    assert shown["parking.md"] == ("aged", LATELY.isoformat(), False)
    assert shown["undated.md"] == ("aged", None, False)


def test_what_is_repeated_is_shown_once_by_its_newest(aged: House) -> None:
    found = aged.search(REFUND).json()["passages"]
    assert [one["document"] for one in found if one["document"] in ("copy.md", "refunds.md")] == ["refunds.md"]
    assert count(aged, "twinpin_collapsed_passages_total") == 1
    everything = aged.search(REFUND, "hanneke").json()["passages"]
    assert [one["document"] for one in everything if "refund" in one["text"].lower()] == ["hidden.md"], "the control"


def test_a_copy_that_the_caller_may_not_see_changes_nothing(tmp_path: Path) -> None:
    shown = []
    for number, corpus in enumerate((CORPUS, CORPUS[:-1])):
        made = make_house(tmp_path / str(number))
        made.app = create_app(made.settings, opening(made, corpus))
        with TestClient(made.app) as client:
            made.client = client
            shown.append(made.search(REFUND).json()["passages"])
    assert shown[0] == shown[1] != []


DAYS = (date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2))
DATED = tuple(document(f"{day}.md", f"Note of {day}.", day) for day in DAYS)


@pytest.fixture
def dated(tmp_path: Path) -> Iterator[House]:
    """A gateway over documents of three days in a row."""
    made = make_house(tmp_path)
    made.app = create_app(made.settings, opening(made, (*DATED, document("undated.md", "Note of no day.", None))))
    with TestClient(made.app) as client:
        made.client = client
        yield made


def days(response: Response) -> list[int]:
    assert response.status_code == 200
    return sorted(date.fromisoformat(one["updated"]).day for one in response.json()["passages"])


@pytest.mark.parametrize(
    ("narrowing", "left"),
    [
        ({"updated_after": "2026-03-01"}, [1, 2]),
        ({"updated_before": "2026-03-01"}, [1, 28]),
        ({"updated_after": "2026-03-01", "updated_before": "2026-03-01"}, [1]),
        ({"updated_after": "2026-03-02", "updated_before": "2026-03-01"}, []),
        ({"updated_after": "2026-03-01T00:00:00Z"}, [1, 2]),
        ({"updated_after": "2026-03-01T23:59:59.999Z"}, [1, 2]),
        ({"updated_after": "2026-03-01T23:30:00-05:00"}, [2]),
        ({"updated_after": "2026-03-01T00:30:00+02:00"}, [1, 2, 28]),
        ({"updated_before": "2026-03-01t00:30:00+02:00"}, [28]),
        ({"updated_before": "0001-01-01"}, []),
        ({"updated_after": "9999-12-31"}, []),
    ],
)
def test_dates_are_inclusive_and_of_utc(dated: House, narrowing: dict[str, str], left: list[int]) -> None:
    assert days(dated.search("Note of a day", filter=narrowing)) == left


@pytest.mark.parametrize("field", ["updated_after", "updated_before"])
@pytest.mark.parametrize(
    "wrong",
    [
        "2026-02-30",
        "2026-03-01T00:00:00",
        "2026-03-01 00:00",
        "2026-03-01T25:00:00Z",
        "20260301",
        "2026-W10-1",
        "1",
        "",
        "0001-01-01T00:00:00+12:00",
        "9999-12-31T23:00:00-12:00",
        86400,
        True,
        ["2026-03-01"],
    ],
)
def test_a_date_that_is_none_is_refused_by_its_name(dated: House, field: str, wrong: object) -> None:
    for response in (
        dated.search(filter={field: wrong}),
        dated.ask(filter={field: wrong}),
        dated.chat(filter={field: wrong}),
    ):
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["param"]) == (422, "invalid_request", f"filter.{field}")


def test_no_date_narrows_nothing(dated: House) -> None:
    found = dated.search("Note of a day", filter={"updated_after": None, "updated_before": None})
    assert len(found.json()["passages"]) == 4
