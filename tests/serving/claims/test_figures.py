"""Figures read from text: the same however written, different where they differ."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.claims.figures import Figure, find_figures, readings


def figures(text: str) -> list[tuple[str, str, str]]:
    return [(found.figure.value, found.figure.unit, found.figure.bound) for found in find_figures(text)]


@pytest.mark.parametrize(
    "ways",
    [
        [
            "1 March 2026",
            "March 1, 2026",
            "March 1st 2026",
            "2026-03-01",
            "01.03.2026",
            "1. M\u00e4rz 2026",
            "1 mars 2026",
        ],
        ["45 days", "45-day", "forty-five days", "45 Tage", "45 jours"],
        ["$1,200", "1200 USD", "USD 1,200", "1.200 dollars", "1'200 $"],
        ["\u20ac4.50", "4,50 \u20ac", "4.5 euros", "EUR 4.50"],
        ["5 %", "5%", "five percent", "5 per cent"],
        ["2 pm", "14:00", "2:00 p.m."],
        ["3 million", "3,000,000", "3000k"],
        ["10 business days", "ten working days"],
        ["SEV-1", "sev-1"],
    ],
)
def test_one_figure_in_many_ways(ways: list[str]) -> None:
    assert len({tuple(figures(way)) for way in ways}) == 1
    assert len(figures(ways[0])) == 1


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("at least 5 days", ">"),
        ("more than 5 days", ">"),
        ("no less than 5 days", ">"),
        ("5 days or more", ">"),
        ("up to 5 days", "<"),
        ("within 5 days", "<"),
        ("no more than 5 days", "<"),
        ("must not exceed 5 days", "<"),
        ("5 days", ""),
    ],
)
def test_bounds(text: str, bound: str) -> None:
    assert figures(text) == [("5", "day", bound)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("In 2024 we had 007 cases", [("2024", "", ""), ("7", "", "")]),
        ("at least 5 of 30 May", [("5", "", ">"), ("--05-30", "date", "")]),
        ("4 may 7", [("--05-04", "date", ""), ("7", "", "")]),
        ("USD 500 men 3 pm", [("500", "usd", ""), ("15:00", "time", "")]),
        ("5 (business) 6 business days", [("5", "", ""), ("6", "workday", "")]),
        ("1\u00a0000 \u00b2 2", [("1000", "", ""), ("2", "", "")]),
        ("drei\u00dfig Tage, drei\u00dfig tausend", [("30", "day", ""), ("30000", "", "")]),
        ("someone has one day", [("1", "day", "")]),
        ("nobody knows it", []),
    ],
)
def test_figures_among_other_words(text: str, found: list[tuple[str, str, str]]) -> None:
    assert figures(text) == found


def test_ranges_share_their_unit() -> None:
    assert figures("5 to 7 days, 2-3 hours") == [
        ("5", "day", ""), ("7", "day", ""), ("2", "hour", ""), ("3", "hour", "")
    ]  # fmt: skip


def test_identifiers_stay_whole() -> None:
    assert [value for value, *_ in figures("HR-204, v2.4, 3.2.1, promote.sh, user_id, 24/7")] == [
        "hr-204", "v2.4", "3.2.1", "promote.sh", "user_id", "24/7"
    ]  # fmt: skip


def test_a_date_says_its_parts() -> None:
    said = set(readings(Figure("2026-03-01", "date")))
    assert {Figure("2026", ""), Figure("2026-03", "date"), Figure("--03-01", "date")} < said


@pytest.mark.parametrize("text", ["one of the reasons", "I may go", "no figure at all", "the second floor", ""])
def test_words_that_are_no_figures(text: str) -> None:
    assert figures(text) == []


@given(st.text(max_size=40))
def test_any_text_can_be_read(text: str) -> None:
    for found in find_figures(text):
        assert 0 <= found.start < found.end <= len(text)
        assert found.figure.value
