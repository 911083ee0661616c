"""Likeness by tokens: each of the question's takes the nearest of the passage's, and the least near are told apart."""

import numpy as np
import pytest

from retrieval.models.likeness import Likeness, likeness, unit_rows

ACROSS = np.eye(4, dtype=np.float32)


def apart(one: Likeness, other: Likeness) -> float:
    """How far two of them differ at most."""
    return max(abs(one.mean - other.mean), abs(one.weakest - other.weakest))


def test_each_token_of_the_question_takes_the_nearest_of_the_passage() -> None:
    half = unit_rows([[1.0, 1.0, 0.0, 0.0]])
    assert likeness(ACROSS[:2], ACROSS[[1, 3]]) == Likeness(0.5, 0.5)
    assert likeness(ACROSS[:1], np.vstack([half, ACROSS[2:]])).mean == pytest.approx(0.5**0.5)


def test_the_weakest_are_the_three_least_near_or_as_many_as_there_are() -> None:
    told = likeness(ACROSS[[0, 0, 0, 1, 2]], ACROSS[:2])
    assert apart(told, Likeness(4 / 5, 2 / 3)) < 1e-6
    assert likeness(ACROSS[:2], ACROSS[:1]) == Likeness(0.5, 0.5)
    assert likeness(ACROSS[:1], -ACROSS[:1]) == Likeness(-1.0, -1.0)


def test_what_has_no_tokens_is_like_nothing() -> None:
    none = np.empty((0, 4), dtype=np.float32)
    for question, passage in ((none, ACROSS), (ACROSS, none), (none, none), ([], ACROSS)):
        assert likeness(question, passage) == Likeness(0.0, 0.0)


def test_a_passage_that_says_more_is_never_less_like_the_question() -> None:
    random = np.random.default_rng(7)
    rows = unit_rows(random.standard_normal((60, 16)))
    few, more = likeness(rows[:8], rows[8:20]), likeness(rows[:8], rows[8:])
    assert few.weakest < few.mean < 1.0
    assert (more.mean, more.weakest) > (few.mean, few.weakest)
    assert apart(likeness(rows[:8], rows[::-1]), Likeness(1.0, 1.0)) < 1e-6


def test_matrices_of_16_bits_are_compared_in_32() -> None:
    rows = unit_rows(np.random.default_rng(3).standard_normal((40, 384)))
    half = rows.astype(np.float16)
    assert likeness(half[:9], half[9:]).mean == pytest.approx(likeness(rows[:9], rows[9:]).mean, abs=1e-3)
    exact = likeness(half[:9].astype(np.float32), half[9:].astype(np.float32))
    assert likeness(half[:9], half[9:]) == exact


def test_rows_are_made_of_length_one_and_one_of_zeros_stays() -> None:
    rows = unit_rows([[3.0, 4.0], [0.0, 0.0]])
    assert rows.dtype == np.float32
    assert rows.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0.0, 0.0]]
