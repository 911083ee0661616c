"""Where sentences end, and that no character is counted twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.claims.sentences import split_sentences


def sentences(text: str) -> list[str]:
    return [text[span.start : span.end] for span in split_sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("It costs 4.50 EUR. See e.g. No. 4 of X Inc. now.", ["It costs 4.50 EUR.", "See e.g. No. 4 of X Inc. now."]),
        ("Ask J. Smith or Dr. Who. Now.", ["Ask J. Smith or Dr. Who.", "Now."]),
        ("Am 3. Mai gilt das. Z.B. hier.", ["Am 3. Mai gilt das.", "Z.B. hier."]),
        ("45 days.[1] Then [2]. So. [3] End", ["45 days.[1]", "Then [2].", "So. [3]", "End"]),
        ('He said "Stop." Then left.', ['He said "Stop."', "Then left."]),
        ("A wrapped line of a paragraph that goes on and on\nuntil here. Next.",
         ["A wrapped line of a paragraph that goes on and on\nuntil here.", "Next."]),
        ("- one\n- two\n1. three\n   goes on", ["- one", "- two", "1. three\n   goes on"]),
        ("# Head\nText.", ["# Head", "Text."]),
        ("| a | b |\n|---|---|\n| 1 | 2 |", ["| a | b |", "| 1 | 2 |"]),
        ("First\n\nsecond", ["First", "second"]),
        ("\u7b2c\u4e00\u3002\u7b2c\u4e8c\u3002", ["\u7b2c\u4e00\u3002", "\u7b2c\u4e8c\u3002"]),
        ("", []),
        (" \n\n ", []),
    ],
)  # fmt: skip
def test_where_sentences_end(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@given(st.text("aB1 .!?[]\n-|#\u00e9\U0001f600", max_size=60))
def test_spans_are_ordered_whole_and_trimmed(text: str) -> None:
    before = 0
    for span in split_sentences(text):
        assert before <= span.start < span.end <= len(text)
        assert text[span.start : span.end] == text[span.start : span.end].strip()
        before = span.end
    said = "".join(sentences(text)).split()
    dropped = set("|-# \n")
    assert set(text) - set("".join(said)) <= dropped
