"""Vectors that were computed not long ago, so that a text is embedded once."""

from array import array
from collections.abc import Awaitable, Callable, Sequence

from retrieval.models.flights import Flights
from retrieval.models.textcache import BESIDE, TextCache, text_key


class VectorCache:
    """The vectors that were used last, `room` bytes of them, as 32-bit floats; shared by threads."""

    def __init__(self, room: int) -> None:
        self._held: TextCache[array[float]] = TextCache(room, _bytes)

    def get(self, text: str, scope: str = "") -> list[float] | None:
        """The vector of a text, if it is held in that scope."""
        held = self._held.get(text, scope)
        return None if held is None else held.tolist()

    def put(self, text: str, vector: Sequence[float], since: int | None = None, scope: str = "") -> None:
        """Hold a vector, unless all was let go of after `since`, the `age` when it was begun."""
        self._held.put(text, array("f", vector), since, scope)

    def complete(
        self, texts: Sequence[str], compute: Callable[[Sequence[str]], Sequence[list[float]]]
    ) -> list[list[float]]:
        """A vector for each text, in no scope: `compute` is given those that are not held, each once."""
        age, known = self.age, {text: self.get(text) for text in texts}
        missing = [text for text, vector in known.items() if vector is None]
        made = dict(zip(missing, compute(missing), strict=True)) if missing else {}
        for text, vector in made.items():
            self.put(text, vector, age)
        return [known[text] or made[text] for text in texts]

    @property
    def age(self) -> int:
        """How often all was let go of."""
        return self._held.age

    def clear(self) -> None:
        """Hold nothing any more."""
        self._held.clear()


class QuestionVectors:
    """Vectors of questions, each of its scope's: held, or waited for with whoever asks the same just now."""

    def __init__(self, room: int) -> None:
        self._held = VectorCache(room)
        self._flights: Flights[list[float]] = Flights()

    async def get(self, text: str, scope: str, embed: Callable[[], Awaitable[list[float]]]) -> list[float]:
        """The question's vector, which `embed` makes where it is not there; the caller's own to change."""
        held = self._held.get(text, scope)
        return held or list(await self._flights.join(text_key(text, scope), lambda: self._made(text, scope, embed)))

    @property
    def age(self) -> int:
        """How often all was let go of."""
        return self._held.age

    def clear(self) -> None:
        """Hold nothing any more, nor what is being made just now."""
        self._held.clear()

    async def _made(self, text: str, scope: str, embed: Callable[[], Awaitable[list[float]]]) -> list[float]:
        age = self.age
        vector = await embed()
        self._held.put(text, vector, age, scope)
        return vector


def _bytes(held: "array[float]") -> int:
    return held.itemsize * len(held) + BESIDE
