"""A citation names the heading and the page of the words it quotes, and opens there, whatever else its chunk holds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient

from gateway.app import create_app
from retrieval.ingest.blocks import Block
from tests.gateway.house import STAFF, House, Part, Seeded, events, make_house, opening

DAYS = "Parental leave lasts 26 weeks."
NOTICE = "The notice period for managers is 14 weeks."
LEAVE = f"Leave\n\n{DAYS}\n\nNotice periods\n\n{NOTICE}"
BAND = "The forklift licence costs 310 euros."
FINE = "A lost badge costs 45 euros."
FEES = f"{BAND}\n\n{FINE}"
SOURCE = "https://intranet.example/fees%20%26%20fines.pdf"


def blocks(text: str, *stands: tuple[str, tuple[str, ...], int | None]) -> bytes:
    at = [(text.index(words), words, heading, page) for words, heading, page in stands]
    return msgspec.json.encode([Block("paragraph", a, a + len(b), heading, page) for a, b, heading, page in at])


LEAVES = Seeded(
    "hr/leave.md",
    LEAVE,
    STAFF,
    (Part(LEAVE, ("Leave",)),),
    blocks=blocks(
        LEAVE,
        ("Leave", ("Leave",), None),
        (DAYS, ("Leave",), None),
        ("Notice periods", ("Leave", "Notice périods"), None),
        (NOTICE, ("Leave", "Notice périods"), None),
    ),
)
PAGES = Seeded(
    "fees & fines.pdf",
    FEES,
    STAFF,
    (Part(FEES, (), 2),),
    blocks=blocks(FEES, (BAND, (), 2), (FINE, ("Fines",), 3)),
    source=SOURCE,
)
COLUMNS, ROW = "Room | Price per night | Floor", "Attic chamber | 610 euros | 4"
ROOMS = Seeded(
    "rooms.md",
    f"{COLUMNS}\nCellar | 90 euros | 0\n{ROW}",
    STAFF,
    (Part(ROW, ("Rooms",), header=COLUMNS),),
    blocks=blocks(f"{COLUMNS}\nCellar | 90 euros | 0\n{ROW}", (COLUMNS, ("Rooms",), None)),
)
QUESTIONS = {
    DAYS: "How many weeks does parental leave last?",
    NOTICE: "What is the notice period for managers?",
    BAND: "What does the forklift licence cost?",
    FINE: "What does a lost badge cost?",
}
PLACES = [
    (DAYS, ["Leave"], None, "hr/leave.md#leave"),
    (NOTICE, ["Leave", "Notice périods"], None, "hr/leave.md#notice-p%C3%A9riods"),
    (BAND, [], 2, f"{SOURCE}#page=2"),
    (FINE, ["Fines"], 3, f"{SOURCE}#page=3"),
]
everywhere = pytest.mark.parametrize(("words", "heading", "page", "url"), PLACES)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = make_house(tmp_path)
    made.app = create_app(made.settings, opening(made, (LEAVES, PAGES, ROOMS)))
    with TestClient(made.app) as client:
        made.client = client
        yield made


def require_place(citation: dict[str, Any], words: str, heading: list[str], page: int | None, url: str) -> None:
    assert citation["quote"] == words
    assert (citation["heading"], citation["page"], citation["source"]) == (heading, page, url)


@everywhere
def test_a_citation_names_the_place_of_its_quote(
    house: House, words: str, heading: list[str], page: int | None, url: str
) -> None:
    house.model.says(f"{words[:-1]} [1].")
    (citation,) = house.ask(QUESTIONS[words]).json()["citations"]
    require_place(citation, words, heading, page, url)
    stream = events(house.ask(QUESTIONS[words], stream=True).content)
    (streamed,) = next(one.data["citations"] for one in stream if one.name == "verdict")
    assert streamed == citation


def test_rows_are_told_with_the_header_of_their_table_and_cited_without(house: House) -> None:
    house.model.says(f"{ROW} [1].")
    (citation,) = house.ask("What does the attic chamber cost?").json()["citations"]
    assert COLUMNS in house.generator.exchanges[-1].request.messages[-1].content
    require_place(citation, ROW, ["Rooms"], None, "rooms.md#rooms")


@everywhere
def test_an_openai_annotation_opens_the_place_of_its_quote(
    house: House, words: str, heading: list[str], page: int | None, url: str
) -> None:
    house.model.says(f"{words[:-1]} [1].")
    chat = house.chat(QUESTIONS[words]).json()
    (annotation,) = chat["choices"][0]["message"]["annotations"]
    assert annotation["url_citation"]["url"] == url
    require_place(chat["twinpin"]["citations"][0], words, heading, page, url)
