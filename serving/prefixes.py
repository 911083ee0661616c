"""Which passages an engine has read lately, in which order: what begins so again, it need not read again."""

import hashlib
import heapq
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_DIGEST_BYTES = 16
_WIDTH = 16  # beginnings of one length that are followed: the latest ones, or a question could take long


@dataclass(frozen=True, slots=True)
class _Beginning:
    """The passages at these positions, in this order; `digest` is also of the salt they were read under."""

    digest: bytes
    positions: tuple[int, ...] = ()
    last: float = 0.0


class Served:
    """The passages that prompts began with, each under the salt by which the engine keeps them apart.

    Of a beginning a digest is kept that starts from its salt: nothing can be read in it, and under one salt nothing
    is learnt of another. There are at most `most`, of which the one unused for longest goes first; after `seconds`
    unused none counts.
    """

    def __init__(self, most: int, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._seconds = seconds
        self._now = now
        self._last: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._last)

    def order(self, salt: str, passages: Sequence[bytes]) -> list[int]:
        """Their positions in the order that begins with as many as were served so; the rest follow as given.

        `passages` are bytes in which those differ that a prompt shows differently.
        """
        longest = _Beginning(salt.encode())
        begun = [longest]
        while begun := heapq.nlargest(_WIDTH, self._longer(begun, passages), key=lambda one: one.last):
            longest = begun[0]
        return [*longest.positions, *(one for one in range(len(passages)) if one not in longest.positions)]

    def serve(self, salt: str, passages: Sequence[bytes]) -> None:
        """A prompt begins with these, in this order."""
        now, digest, digests = self._now(), salt.encode(), list[bytes]()
        for passage in passages:
            digests.append(digest := _next(digest, passage))
        for digest in reversed(digests):  # what is longer goes before what it begins with
            self._last[digest] = now
            self._last.move_to_end(digest)
        while len(self._last) > self._most or next(iter(self._last.values()), now) < now - self._seconds:
            self._last.popitem(last=False)

    def _longer(self, begun: Sequence[_Beginning], passages: Sequence[bytes]) -> Iterator[_Beginning]:
        """What was served of those that go on by one passage more."""
        oldest = self._now() - self._seconds
        for one in begun:
            for position in range(len(passages)):
                if position in one.positions:
                    continue
                digest = _next(one.digest, passages[position])
                if (last := self._last.get(digest, -math.inf)) >= oldest:
                    yield _Beginning(digest, (*one.positions, position), last)


def _next(digest: bytes, passage: bytes) -> bytes:
    return hashlib.blake2b(passage, key=digest[:64], digest_size=_DIGEST_BYTES).digest()
