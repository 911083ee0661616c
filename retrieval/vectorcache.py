"""Vectors that were computed not long ago, by the digest of their text: the text itself is not kept."""

import hashlib
import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence


class VectorCache:
    """The `capacity` vectors that were used last, as 32-bit floats in memory; shared by threads."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._held: OrderedDict[bytes, array[float]] = OrderedDict()
        self._lock = threading.Lock()
        self._age = 0

    def get(self, text: str) -> list[float] | None:
        """The vector of a text, if it is held."""
        key = text_key(text)
        with self._lock:
            held = self._held.get(key)
            if held is None:
                return None
            self._held.move_to_end(key)
            return held.tolist()

    def put(self, text: str, vector: Sequence[float], since: int | None = None) -> None:
        """Hold a vector, in place of the one that was not used for longest if there is no room.

        Not if all was let go of after `since`, the `age` when it was begun.
        """
        key, kept = text_key(text), array("f", vector)
        with self._lock:
            if since not in (None, self._age):
                return
            self._held[key] = kept
            self._held.move_to_end(key)
            while len(self._held) > self._capacity:
                self._held.popitem(last=False)

    def complete(
        self, texts: Sequence[str], compute: Callable[[Sequence[str]], Sequence[list[float]]]
    ) -> list[list[float]]:
        """A vector for each text: `compute` is given those that are not held, each once."""
        age, known = self.age, {text: self.get(text) for text in texts}
        missing = [text for text, vector in known.items() if vector is None]
        made = dict(zip(missing, compute(missing), strict=True)) if missing else {}
        for text, vector in made.items():
            self.put(text, vector, age)
        return [known[text] or made[text] for text in texts]

    @property
    def age(self) -> int:
        """How often all was let go of."""
        with self._lock:
            return self._age

    def clear(self) -> None:
        """Hold nothing any more."""
        with self._lock:
            self._held.clear()
            self._age += 1


def text_key(text: str) -> bytes:
    """What stands for a text where the text must not be kept."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
