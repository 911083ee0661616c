"""BM25 weights: the same tokens on both sides, stop words out, lengths as the formula counts them."""

import pytest

from retrieval.errors import RecipeError
from retrieval.index import Bm25
from retrieval.sparse import Bm25Encoder

ENCODER = Bm25Encoder(Bm25(1.2, 0.75, 10.0, "english"))


def test_a_question_has_the_terms_of_the_documents_that_answer_it() -> None:
    document = ENCODER.document("Customers were refunded within the running periods.")
    query = ENCODER.query("Refunding customers: which period?")
    assert set(query.indices) & set(document.indices) == set(ENCODER.query("customer refund period").indices)
    assert query.values == [1.0] * len(query.indices)


def test_case_and_punctuation_do_not_count() -> None:
    assert ENCODER.document("Refund, PERIOD!") == ENCODER.document("refund period")


@pytest.mark.parametrize("text", ["", "what is the", "... !", "\n"])
def test_stop_words_and_signs_leave_nothing(text: str) -> None:
    assert ENCODER.query(text).indices == []
    assert ENCODER.document(text).indices == []
    assert ENCODER.length(text) == 0


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("refund", 1), ("the refund of a refund", 2), ("refund period days refund refund", 5), ("pay " * 40, 40)],
)
def test_length_counts_tokens_after_stop_words(text: str, tokens: int) -> None:
    assert ENCODER.length(text) == pytest.approx(tokens, rel=1e-3)


def test_a_weight_saturates_and_long_texts_weigh_less() -> None:
    (once,), (often,) = ENCODER.document("refund").values, ENCODER.document("refund " * 9).values
    assert once < often < 1.2 + 1
    long = ENCODER.document("refund " + " ".join(f"word{n}" for n in range(50)))
    assert dict(zip(long.indices, long.values, strict=True))[ENCODER.query("refund").indices[0]] < once


def test_the_formula_is_okapis() -> None:
    k, b, average = 1.2, 0.75, 10.0
    vector = ENCODER.document("refund refund period days")
    weight = dict(zip(vector.indices, vector.values, strict=True))[ENCODER.query("refund").indices[0]]
    assert weight == pytest.approx(2 * (k + 1) / (2 + k * (1 - b + b * 4 / average)), rel=1e-4)


def test_a_language_that_there_is_not_is_refused() -> None:
    with pytest.raises(RecipeError, match="klingon"):
        Bm25Encoder(Bm25(1.2, 0.75, 10.0, "klingon"))
