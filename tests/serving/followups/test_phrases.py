"""Noun phrases by cheap means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.followups.phrases import phrases_of, words_of


def texts(text: str) -> list[str]:
    return [phrase.text for phrase in phrases_of(text, words_of(text))]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("What is throat cancer?", ["throat cancer"]),
        ("Tell me about the National Air and Space Museum.", ["National Air and Space Museum"]),
        ("What are the main types of injuries?", ["injuries"]),
        ("How does a 529 plan work?", ["529 plan"]),
        ("What is seafloor spreading?", ["seafloor spreading"]),
        ("How do I rotate a certificate?", ["certificate"]),
        ("What is the notice period?", ["notice period"]),
        ("What are the Beacon's limits?", ["Beacon"]),
        ("What is Darwin\u2019s theory in a nutshell?", ["Darwin\u2019s theory", "nutshell"]),
        ("How did Netflix originally work?", ["Netflix"]),
        ("How many days of annual leave do employees get?", ["annual leave"]),
        ("Where is mortadella, and chorizo, from?", ["mortadella", "chorizo"]),
        ("Why?", []),
        ("What are the main causes and the symptoms?", []),
        ("", []),
    ],
)
def test_phrases_are_what_is_asked_about(text: str, found: list[str]) -> None:
    assert texts(text) == found


def test_a_phrase_knows_how_it_is_written() -> None:
    text = "Is the Stanford Experiment like the health effects of a virus or of energy drinks?"
    experiment, effects, virus, drinks = phrases_of(text, words_of(text))
    assert (experiment.name, experiment.article, experiment.plural) == (True, "the", False)
    assert (effects.name, effects.aspect) == (False, True)
    assert (virus.article, virus.plural) == ("a", False)
    assert (drinks.plural, drinks.aspect) == (True, False)
    assert text[drinks.start : drinks.end] == "energy drinks"


@given(st.text("aIsit the,.?'\u2019-<|>[]\n\u00e9Z9", max_size=60))
def test_a_phrase_is_words_and_single_blanks(text: str) -> None:
    for phrase in phrases_of(text, words_of(text)):
        assert phrase.stems
        assert not set(phrase.text) & set("<|>[]\n,?")
        assert "  " not in phrase.text
