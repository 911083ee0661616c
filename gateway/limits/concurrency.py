"""How many answers may be under way at once: more while first words come in time, fewer when they do not."""

import math
import time
from collections.abc import Callable
from statistics import median
from typing import Literal

Priority = Literal["interactive", "batch"]
_FIRST, _LEAST = 16, 2
_FASTER, _SLOWER = 1.5, 0.85
_HELD_SECONDS = 5.0  # after the engine pushed something back: what was in flight then is what it takes
_SAMPLES, _SECONDS = 8, 2.0  # of a window: so many, or those of so long
_TIMES_SLOWER = 2.0
_USED = 0.8  # of the limit: with less in flight, that all is well says nothing of the limit
_DRIFT = 0.1
_BATCH = 0.75  # of the limit is open to batches


class Concurrency:
    """A limit that follows the engine, in windows of what began after the limit was last changed.

    The first words of a window came too late when half of them took longer than `goal` seconds, and twice as long as
    they do when there is little to do; or the engine pushed something back. Then the limit shrinks, else it grows if it
    was nearly used: by half until it was too high once, by its root after that.
    """

    def __init__(self, most: int, goal: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._goal = goal
        self._clock = clock
        self.limit = float(min(_FIRST, most))
        self.running = 0
        self._peak = 0
        self._since = clock()
        self._samples: list[float] = []
        self._at_ease = math.inf
        self._shrunk = self._held_until = -math.inf

    def enters(self, priority: Priority) -> bool:
        """Whether one more may be under way; it is, then, until it leaves."""
        room = self.limit * _BATCH if priority == "batch" else self.limit
        if self.running + 1 > max(1.0, room):
            return False
        self.running += 1
        self._peak = max(self._peak, self.running)
        return True

    def leaves(self) -> None:
        """One is over."""
        self.running -= 1

    def heard(self, began: float, seconds: float) -> None:
        """The engine's first word came after so long."""
        if began < self._since:
            return
        self._samples.append(seconds)
        if len(self._samples) >= _SAMPLES or self._clock() - self._since >= _SECONDS:
            self._judge(median(self._samples))

    def waited_in_vain(self, seconds: float) -> None:
        """Somebody's patience ended before a first word came, however soon others heard theirs.

        That counts from half the goal on, and twice what words take at ease: less is the caller's haste.
        """
        now = self._clock()
        if seconds <= max(self._goal / 2, _TIMES_SLOWER * self._at_ease):
            return
        self._held_until = max(self._held_until, now + _SECONDS)
        if now - self._shrunk >= _SECONDS / 4:
            self._shrink(self.limit * _SLOWER)

    def pushed_back(self, began: float) -> None:
        """The engine has no room, or took so long that nobody waits any more."""
        now = self._clock()
        self._held_until = now + _HELD_SECONDS
        if began >= self._since and now - self._shrunk >= _SECONDS / 2:
            self._shrink(min(self.limit, self.running - 1.0))

    def _judge(self, first_word: float) -> None:
        if first_word > max(self._goal, _TIMES_SLOWER * self._ease(first_word)):
            self._shrink(self.limit * _SLOWER)
        elif self._peak >= _USED * self.limit and self._clock() >= self._held_until:
            never_too_high = self._shrunk == -math.inf
            grown = self.limit * _FASTER if never_too_high else self.limit + math.sqrt(self.limit)
            self._begin(min(float(self._most), grown))
        else:
            self._begin(self.limit)

    def _ease(self, first_word: float) -> float:
        """How long it takes when there is little to do: less is believed at once, more only while there is little."""
        if first_word < self._at_ease:
            self._at_ease = first_word
        elif self._peak <= max(_LEAST, self.limit / 2):
            self._at_ease += _DRIFT * (first_word - self._at_ease)
        return self._at_ease

    def _shrink(self, limit: float) -> None:
        self._shrunk = self._clock()
        self._begin(max(float(min(_LEAST, self._most)), limit))

    def _begin(self, limit: float) -> None:
        self.limit = limit
        self._since = self._clock()
        self._samples.clear()
        self._peak = self.running
