"""How near the words of a passage come to those of a question, by the vectors of their tokens."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

TokenVectors: TypeAlias = "np.ndarray[Any, np.dtype[np.float32]]"  # (tokens, dimensions), each row of length one

_WEAKEST = 3


@dataclass(frozen=True, slots=True)
class Likeness:
    """Cosines of a question's tokens, each with the passage's token nearest to it: of all, and of the least near three.

    A passage on the question's subject that lacks what is asked has a high `mean` and a low `weakest`. Both are 0.0
    where there are no tokens.
    """

    mean: float
    weakest: float


def likeness(question: "ArrayLike", passage: "ArrayLike") -> Likeness:
    """Of two matrices (tokens, dimensions) whose rows have length one; computed in 32-bit floats."""
    import numpy as np

    asked, told = np.asarray(question, dtype=np.float32), np.asarray(passage, dtype=np.float32)
    if not len(asked) or not len(told):
        return Likeness(0.0, 0.0)
    # one thread: a product of matrices would be shared among cores, and wait for a busy one longer than it takes
    nearest = np.sort(np.vecdot(asked[:, None], told[None]).max(axis=1))
    return Likeness(float(nearest.mean()), float(nearest[:_WEAKEST].mean()))


def unit_rows(rows: "ArrayLike") -> TokenVectors:
    """The rows of a matrix, each divided by its length; one of zeros stays as it is."""
    import numpy as np

    made = np.asarray(rows, dtype=np.float32)
    unit: TokenVectors = made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), np.float32(1e-12))
    return unit
