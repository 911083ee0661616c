"""The tokens of a text, counted by its words: as many as the model's tokenizer finds in all of it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from deploy.sampling import DOCUMENTS
from serving.errors import ManifestError
from serving.tokens import WordCounts, load_token_counter

TEXTS = [path.read_text("utf-8") for path in sorted(DOCUMENTS.rglob("*.md"))]
PIECES = st.sampled_from(
    ["refund", "Days.", " ", "  ", "\n", "\n\n", "45", "4.5.1", "a@b.example", "\u00fc", "\u65e5\u672c", "---"]
)


def bytes_bpe() -> Tokenizer:
    """Of the kind that the pinned model has."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=1_500, initial_alphabet=alphabet))
    return tokenizer


def runs_of_spaces() -> Tokenizer:
    """Of the pinned model's kind, with tokens of several spaces as it has them."""
    tokenizer = bytes_bpe()
    spaces = [text.replace("\n", "  \n   ").replace(" ", "  ") for text in TEXTS]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator([*TEXTS, *spaces], trainers.BpeTrainer(vocab_size=1_500, initial_alphabet=alphabet))
    return tokenizer


def sentence_pieces() -> Tokenizer:
    """Of the kind that writes spaces into its words and puts one before the first."""
    tokenizer = Tokenizer(models.BPE(unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=1_500, special_tokens=["?"]))
    return tokenizer


@pytest.fixture(scope="module", params=[bytes_bpe, runs_of_spaces, sentence_pieces])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("model")
    request.param().save(str(made / "tokenizer.json"))
    return made


def whole(folder: Path) -> Callable[[str], int]:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))


def test_a_document_has_as_many_tokens_by_its_words_as_in_all(folder: Path) -> None:
    count, expected = load_token_counter(folder), whole(folder)
    for _ in range(2):
        assert [count(text) for text in TEXTS] == [expected(text) for text in TEXTS]


@given(st.lists(PIECES, max_size=12))
def test_no_text_has_more_than_counted(folder: Path, pieces: list[str]) -> None:
    text = "".join(pieces)
    count = load_token_counter(folder)
    for _ in range(2):
        assert count(text) >= whole(folder)(text)


@pytest.mark.parametrize(
    "text",
    [
        "a  b",
        "  | ",
        "\n | ",
        "x  " * 200,
        "One.  Two.  Three.  " * 50,
        "Gold        45 days    yes\nSilver      30 days    no\n" * 30,
        "This is a  sentence typed  with double  spaces after  every other  word.  " * 30,
    ],
)
def test_runs_of_white_space_are_counted_with_their_words(folder: Path, text: str) -> None:
    count, expected = load_token_counter(folder), whole(folder)
    count("One sentence typed with double spaces: Gold 45 days, yes. Silver x a b |")
    assert [count(text) >= expected(text) for _ in range(3)] == [True] * 3


def test_words_are_counted_once_and_what_may_be_more_each_time() -> None:
    counted: list[str] = []

    def count_text(text: str) -> int:
        counted.append(text)
        return len(text.split())

    count = WordCounts(count_text).count
    text = "Write to jane@firm.example before 20261231, Jane."
    assert (count(text), count(text)) == (6, 6)
    assert [one for one in counted if "Jane." in one] == ["a Jane."]
    assert [one for one in counted if "jane@" in one or "2026" in one] == ["Write jane@firm.example 20261231,"] * 2


def test_a_text_of_new_words_is_not_counted_word_by_word() -> None:
    counted: list[str] = []

    def count_text(text: str) -> int:
        counted.append(text)
        return len(text.split())

    text = " ".join(f"w{'o' * length}rd" for length in range(60))
    assert WordCounts(count_text).count(text) == 60
    assert len(counted) < 20


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"tokenizer\.json"):
        load_token_counter(tmp_path)
