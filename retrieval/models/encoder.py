"""What turns texts into vectors in this process, whatever the runtime."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from retrieval.models.likeness import TokenVectors

Vectors: TypeAlias = list[list[float]]


class Encoder(Protocol):
    """Unit-length vectors, one for each text; blocking. What is longer than `max_tokens`, special ones too, is cut."""

    @property
    def max_tokens(self) -> int:
        """Tokens that the model reads of a text, with special tokens."""
        ...

    def questions(self, texts: Sequence[str]) -> Vectors:
        """Encode a few short texts, on one thread at a time."""
        ...

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Encode many long texts, on all cores."""
        ...

    def tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """The last state of each token, of length one: a row each in a matrix for each text, on all cores.

        Special tokens have none.
        """
        ...
