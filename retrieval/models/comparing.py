"""Passages compared with a question token by token: batched off the event loop, token vectors held in memory."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from retrieval.errors import EmbedderUnavailable
from retrieval.models.batching import Batcher
from retrieval.models.likeness import Likeness, TokenVectors, likeness
from retrieval.models.textcache import BESIDE, TextCache

if TYPE_CHECKING:
    import numpy as np

# Half the room of 32-bit floats; a cosine moves by less than 0.001.
_Held: TypeAlias = "np.ndarray[Any, np.dtype[np.float16]]"

_BATCH, _CHARACTERS_A_CORE = 32, 2_048  # a batch that nobody waits for any more goes on to its end


@dataclass(frozen=True, slots=True)
class _Text:
    words: str
    scope: str = ""


@dataclass(frozen=True, slots=True)
class _Pair:
    question: _Text
    passage: _Text
    age: int


class Comparer:
    """Compares by the token vectors that `encode` makes of texts, one matrix for each; it is called on one thread.

    The vectors that were used last are held, `room` bytes of them. What is held and what is not come out alike: all is
    rounded to 16-bit floats before it is compared.
    """

    def __init__(self, encode: Callable[[Sequence[str]], Sequence[TokenVectors]], room: int) -> None:
        self._encode = encode
        self._held: TextCache[_Held] = TextCache(room, _bytes)
        self._batcher: Batcher[_Pair, Likeness] = Batcher(
            self._compare,
            name="compare",
            full=EmbedderUnavailable,
            cost=self._cost,
            room=_CHARACTERS_A_CORE * (os.cpu_count() or 1),
            most=_BATCH,
        )

    @property
    def age(self) -> int:
        """How often all was let go of."""
        return self._held.age

    async def compare(
        self, question: str, passages: Sequence[str], *, scope: str = "", since: int | None = None
    ) -> list[Likeness]:
        """Each passage's likeness to the question; whoever leaves takes along what of it was not begun.

        The question's token vectors are of use to those of its `scope` only, a passage's to all who may read it.
        Nothing is held if all was let go of after `since`, the `age` when the words were read, or now.
        EmbedderUnavailable when too many wait.
        """
        age = self.age if since is None else since
        asked = _Text(question, scope)
        return await self._batcher.submit_all([_Pair(asked, _Text(passage), age) for passage in passages])

    def forget(self) -> None:
        """Hold no token vectors any more, nor any of what is being compared just now."""
        self._held.clear()

    def close(self) -> None:
        """Let the thread go."""
        self._batcher.close()

    def _cost(self, pair: _Pair) -> int:
        return 0 if pair.passage.words in self._held else len(pair.passage.words)

    def _compare(self, pairs: Sequence[_Pair]) -> list[Likeness]:
        vectors = self._vectors(pairs)
        return [likeness(vectors[pair.question], vectors[pair.passage]) for pair in pairs]

    def _vectors(self, pairs: Sequence[_Pair]) -> dict[_Text, _Held]:
        """Of each text once in its scope: what is not held is encoded, all of it together."""
        latest_first = sorted(pairs, key=lambda pair: -pair.age)  # of words that were read twice, the first time counts
        ages = {text: pair.age for pair in latest_first for text in (pair.question, pair.passage)}
        known = {text: held for text in ages if (held := self._held.get(text.words, text.scope)) is not None}
        missing = [text for text in ages if text not in known]
        encoded = self._encode([text.words for text in missing]) if missing else ()
        for text, made in zip(missing, encoded, strict=True):
            known[text] = made.astype("float16")
            self._held.put(text.words, known[text], ages[text], text.scope)
        return known


def _bytes(held: _Held) -> int:
    return held.nbytes + BESIDE
