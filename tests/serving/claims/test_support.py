"""What is said word for word is held: no difference is found between a sentence and itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.claims.restrictions import scope_differs
from serving.claims.support import DIFFERENCES, Above, Window
from serving.claims.terms import Terms
from tests.serving import grounding_cases as cases

SENTENCES = [case.answer for case in (*cases.SUPPORTED, *cases.WRONG, *cases.SECOND_WRONG, *cases.THIRD_WRONG)]
WORDS = sorted(
    {word for sentence in SENTENCES for word in sentence.split()} | {"not", "before", "only", "without,", "if"}
)
QUESTION = Terms(cases.REFUND)


def differences(sentence: str, *above: str) -> list[str]:
    said = Terms(sentence)
    window = Window(said, Above(above))
    found = [differs.__name__ for differs in DIFFERENCES if differs(said, window)]
    return found + ["scope"] * scope_differs(said, QUESTION, said, window.above.scopes)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_does_not_differ_from_itself(sentence: str) -> None:
    assert differences(sentence, "Guide", "Prices in EUR") == []


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=20).map(" ".join))
def test_nor_does_any_row_of_words(sentence: str) -> None:
    assert differences(sentence, "Guide") == []


def test_what_stands_above_may_still_bound_it() -> None:
    assert differences("You get 45 days.", "Before 5 May 2026:") == ["scope"]
