"""Fusion is pure: known orders, deterministic ties."""

import pytest

from retrieval.fusion import Candidate, Legs, carry, fuse
from retrieval.index import Fusion

A, B, C = 1, 2, 3
CONVEX = Fusion("convex", 0.5, 0.5)
RRF = Fusion("rrf", 1.0, 1.0, k=60)


def test_convex_adds_scaled_scores_over_the_union() -> None:
    legs = Legs([(A, 0.9), (B, 0.5)], [(C, 8.0), (B, 4.0)], {A: 0.9, B: 0.5, C: 0.1})
    order = fuse(legs, CONVEX)
    assert {one.chunk: one.score for one in order} == pytest.approx({A: 0.5, B: 0.5, C: 0.5})
    assert [one.chunk for one in order] == [A, B, C], "ties go by chunk id"


def test_rrf_adds_reciprocal_ranks() -> None:
    legs = Legs([(A, 0.9), (B, 0.5)], [(B, 4.0), (C, 1.0)], {A: 0.9, B: 0.5, C: 0.1})
    best, second, third = fuse(legs, RRF)
    assert (best.chunk, second.chunk, third.chunk) == (B, A, C)
    assert best.score == pytest.approx(1 / 62 + 1 / 61)
    assert (best.cosine, best.bm25, second.bm25) == (0.5, 4.0, 0.0)


@pytest.mark.parametrize("rule", [CONVEX, RRF])
def test_nothing_and_one_leg_alone(rule: Fusion) -> None:
    assert fuse(Legs([], [], {}), rule) == []
    assert [one.chunk for one in fuse(Legs([(A, 0.9), (B, 0.1)], [], {A: 0.9, B: 0.1}), rule)] == [A, B]


def test_a_weight_of_zero_leaves_a_leg_out() -> None:
    legs = Legs([(A, 0.9), (B, 0.5)], [(B, 4.0)], {A: 0.9, B: 0.5})
    assert fuse(legs, Fusion("convex", 1.0, 0.0))[0].chunk == A
    assert fuse(legs, Fusion("convex", 0.0, 1.0))[0].chunk == B


@pytest.mark.parametrize("rule", [CONVEX, RRF])
def test_a_chunk_that_vanished_between_the_legs_is_left_out(rule: Fusion) -> None:
    legs = Legs([(A, 0.9), (B, 0.5)], [(C, 8.0), (B, 4.0)], {A: 0.9, B: 0.5})
    assert {one.chunk for one in fuse(legs, rule)} == {A, B}
    assert fuse(Legs([], [(C, 8.0)], {}), rule) == []


def test_what_earlier_turns_found_counts_half_with_every_turn() -> None:
    order = [Candidate(A, 0.9, 0.7, 3.0), Candidate(B, 0.1, 0.2, 0.0)]
    older, newer = [Candidate(C, 1.0, 0.8, 5.0)], [Candidate(B, 0.8, 0.6, 4.0)]
    assert carry(order, [older, newer]) == [
        Candidate(A, 0.9, 0.7, 3.0),
        Candidate(B, 0.4, 0.2, 0.0),
        Candidate(C, 0.25, 0.0, 0.0),
    ], "cosine and BM25 stay those of the last question"
    assert carry(order, []) == order
