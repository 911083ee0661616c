"""Words are made once; what may be more than a word is not held, and neither are all words for ever."""

import pytest

from serving.vocabulary import Vocabulary


def made_of(*written: str) -> tuple[Vocabulary[int], list[str]]:
    made: list[str] = []

    def make(one: str) -> int:
        made.append(one)
        return len(one)

    vocabulary = Vocabulary(make)
    assert [vocabulary[one] for one in written] == [len(one) for one in written]
    return vocabulary, made


@pytest.mark.parametrize(
    "word", ["refund", "Refund,", '("days")', "part-time.", "don't", "2024", "\u00a7", "#######", "\u00fcber"]
)
def test_a_word_is_made_once(word: str) -> None:
    vocabulary, made = made_of(word, word)
    assert made == [word]
    assert word in vocabulary


@pytest.mark.parametrize(
    "written", ["jane@firm.example", "20261231", "+49-30-1234567", "DE89370400440532013000", "o" * 25, "a/b/c"]
)
def test_what_may_be_more_is_made_anew(written: str) -> None:
    vocabulary, made = made_of(written, written)
    assert made == [written, written]
    assert not vocabulary


def test_it_stays_bounded() -> None:
    words = ["".join("abcdefghij"[int(digit)] for digit in str(number)) for number in range(40_000)]
    vocabulary, _ = made_of(*words)
    assert 0 < len(vocabulary) <= 1 << 14
