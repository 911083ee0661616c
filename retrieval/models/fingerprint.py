"""What a model is known by when its files are out of reach: the directions in which its vectors of fixed texts point.

Each bit says on which side of a fixed random plane the vectors of all probes together lie. Vectors of one model at
another precision or batch size differ in a few bits of 256, those of two models in about half of them.
"""

import hashlib
from collections.abc import Sequence

from retrieval.errors import RecipeError

PROBES = (
    "How many days of annual leave do I get?",
    "Refunds are paid within 45 days of purchase, to the account that paid.",
    "The pump needs oil every 200 hours of operation; the valve is checked once a year.",
    "Antibodies against the spike protein were measured in 42 patients.",
)
_KIND = "probe:"
_BITS, _MOST_APART = 256, 12


def fingerprint(vectors: Sequence[Sequence[float]]) -> str:
    """`probe:<64 hex digits>` of the vectors of `PROBES`, all of one length."""
    import numpy as np

    together = np.asarray(vectors, dtype=np.float64).ravel()
    bits = 0
    for number in range(_BITS):
        seed = hashlib.shake_256(f"plane {number}".encode()).digest((together.size + 7) // 8)
        signs = np.unpackbits(np.frombuffer(seed, dtype=np.uint8))[: together.size] * 2.0 - 1.0
        bits = bits << 1 | bool(signs @ together > 0)
    return f"{_KIND}{bits:0{_BITS // 4}x}"


def alike(found: str, pinned: str) -> bool:
    """Whether two fingerprints are of one model; RecipeError when `pinned` is none."""
    return (_bits(found) ^ _bits(pinned)).bit_count() <= _MOST_APART


def _bits(told: str) -> int:
    digits = told.removeprefix(_KIND)
    try:
        if told.startswith(_KIND) and len(digits) == _BITS // 4:
            return int(digits, 16)
    except ValueError as error:
        raise _no_fingerprint(told) from error
    raise _no_fingerprint(told)


def _no_fingerprint(told: str) -> RecipeError:
    return RecipeError(f"{told!r} is no fingerprint of a served model, which is {_KIND} and {_BITS // 4} hex digits")
