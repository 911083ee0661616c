"""Yes-or-no questions."""

import pytest

from serving.claims.phrases import asks_for_a_side


@pytest.mark.parametrize("question", ["Is it allowed?", "Hello. Can I go?", "Darf ich das?", "do we ship?"])
def test_questions_for_a_side(question: str) -> None:
    assert asks_for_a_side(question)


@pytest.mark.parametrize("question", ["How is it?", "Who may go?", "", "Which is it: red or green"])
def test_other_questions(question: str) -> None:
    assert not asks_for_a_side(question)
