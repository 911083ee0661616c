"""Counts tokens as the served model does, from its own tokenizer file."""

from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer

from serving.errors import ManifestError


def load_token_counter(model_directory: Path) -> Callable[[str], int]:
    """A function from text to its number of tokens, special tokens left out."""
    path = model_directory / "tokenizer.json"
    if not path.is_file():
        raise ManifestError(f"the model's tokenizer is not there ({path.parent.name}/{path.name}): run `make run` once")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    # The fast kind does not work out where in the text each token stands.
    return lambda text: len(tokenizer.encode_batch_fast([text], add_special_tokens=False)[0])
