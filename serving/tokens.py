"""Counts tokens as the served model does, from its own tokenizer file."""

import re
from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer

from serving.errors import ManifestError
from serving.vocabulary import Vocabulary, is_word

_BETWEEN_WORDS = re.compile(r"(?<=\S) (?=\S)")  # more white space becomes tokens of its own: it stays with its words
_NEW = 16  # words of one text that are counted by themselves, to be held


def load_token_counter(model_directory: Path) -> Callable[[str], int]:
    """A function from text to its number of tokens, special tokens left out."""
    path = model_directory / "tokenizer.json"
    if not path.is_file():
        raise ManifestError(f"the model's tokenizer is not there ({path.parent.name}/{path.name}): run `make run` once")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    # The fast kind does not work out where in the text each token stands.
    return WordCounts(lambda text: len(tokenizer.encode_batch_fast([text], add_special_tokens=False)[0])).count


class WordCounts:
    """Counts a text by its words, whose counts it holds: most of a text is the same few words as of all others.

    Tokenizers do not join what a space parts, so the counts add up; of one that does the sum is an upper estimate.
    """

    def __init__(self, count_text: Callable[[str], int]) -> None:
        alone = count_text("a")
        self._count_text = count_text
        self._held = Vocabulary(lambda word: count_text(f"a {word}") - alone)

    def count(self, text: str) -> int:
        """Tokens of `text`."""
        first, *words = _BETWEEN_WORDS.split(text)
        held = list(map(self._held.get, words))
        unknown = [word for word, count in zip(words, held, strict=True) if count is None]
        counted, new, others = sum(filter(None, held)), 0, [first]
        for word in unknown:
            if new < _NEW and is_word(word):
                new, counted = new + 1, counted + self._held[word]
            else:
                others.append(word)
        return counted + self._count_text(" ".join(others))
