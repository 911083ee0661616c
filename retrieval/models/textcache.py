"""What was computed of texts not long ago, by the digest of the text: the text itself is not kept."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")
BESIDE = 256  # bytes of an entry beside its value: its key and the objects around them


class TextCache(Generic[Value]):
    """The values that were used last, as many as `room` holds by what `weigh` says of each; shared by threads."""

    def __init__(self, room: int, weigh: Callable[[Value], int]) -> None:
        self._room = room
        self._weigh = weigh
        self._held: OrderedDict[bytes, Value] = OrderedDict()
        self._weight = 0
        self._lock = threading.Lock()
        self._age = 0

    def __contains__(self, text: str) -> bool:
        """Whether the value of a text is held, in no scope; to look is not to use."""
        with self._lock:
            return text_key(text) in self._held

    @property
    def weight(self) -> int:
        """Of all that is held together; never more than `room`."""
        with self._lock:
            return self._weight

    @property
    def age(self) -> int:
        """How often all was let go of."""
        with self._lock:
            return self._age

    def get(self, text: str, scope: str = "") -> Value | None:
        """The value of a text, if it is held in that scope."""
        key = text_key(text, scope)
        with self._lock:
            held = self._held.get(key)
            if held is not None:
                self._held.move_to_end(key)
            return held

    def put(self, text: str, value: Value, since: int | None = None, scope: str = "") -> None:
        """Hold a value, in place of those that were not used for longest if there is no room.

        Not if all was let go of after `since`, the `age` when it was begun.
        """
        key = text_key(text, scope)
        with self._lock:
            if since not in (None, self._age):
                return
            if key in self._held:
                self._weight -= self._weigh(self._held.pop(key))
            self._held[key] = value
            self._weight += self._weigh(value)
            while self._weight > self._room:
                self._weight -= self._weigh(self._held.popitem(last=False)[1])

    def clear(self) -> None:
        """Hold nothing any more."""
        with self._lock:
            self._held.clear()
            self._weight = 0
            self._age += 1


def text_key(text: str, scope: str = "") -> bytes:
    """What stands for a text where the text must not be kept; another in each scope."""
    scoped = f"{len(scope)}:{scope}{text}"
    return hashlib.blake2b(scoped.encode("utf-8", "surrogatepass"), digest_size=16).digest()
