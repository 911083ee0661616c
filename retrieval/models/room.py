"""What an embedder may remember, in bytes, and how the kinds of vectors share that."""

from dataclasses import dataclass

VECTOR_BYTES = 150_994_944
_SHARES = 16  # of which questions and passages have one each: a token's vector is as long as one of a whole text


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes for vectors of questions, of passages, and of the tokens of both."""

    questions: int
    passages: int
    tokens: int


def room_of(held: int) -> Room:
    """Nothing is taken where nothing is needed: an embedder that compares no tokens holds an eighth."""
    share = held // _SHARES
    return Room(share, share, held - 2 * share)
