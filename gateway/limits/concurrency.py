"""How many answers may be under way at once: more while first words come in time, fewer when they do not."""

import math
import time
from collections import Counter
from collections.abc import Callable
from statistics import median
from typing import Literal

Priority = Literal["interactive", "batch"]
_FIRST, _LEAST = 64, 2
_FASTER, _SLOWER, _SLOWEST = 1.5, 0.85, 0.5
_HELD_SECONDS = 5.0  # nothing grows after that was too much which is only known late, or by the engine
_FULL_SECONDS = 30.0  # after the engine pushed something back: it grows by one at a time
_SAMPLES, _SECONDS = 8, 2.0  # of a window: so many, or those of so long
_TIMES_SLOWER = 2.0
_USED = 0.8  # of the limit: with less in flight, that all is well says nothing of the limit
_DRIFT = 0.1
_BATCH = 0.75  # of the limit is open to batches
_HURRIED = 0.25  # of the goal: who is cut off sooner was in too much of a hurry to tell anything
_WASTED = 0.125  # of what ended: with more cut off that had to wait nothing grows, with twice as many it shrinks
_SHARE = 0.5  # of the limit is one tenant's while another wants in
_OVER = 1.125  # times the limit, for those who find it taken by one other
_WANTED_SECONDS = 3.0  # for so long who was refused is expected again


class Concurrency:
    """A limit that follows the engine, in windows of what began after the limit was last changed.

    The first words of a window came too late when half of them took longer than `goal` seconds, and twice as long as
    they do when there is little to do; or a quarter was cut off by its deadline or its caller after it had to wait; or
    the engine pushed something back. Then the limit shrinks, else it grows if it was nearly used: by half until it was
    too high once, by its root after that.
    """

    def __init__(self, most: int, goal: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._goal = goal
        self.clock = clock
        self.limit = float(min(_FIRST, most))
        self.running = 0
        self._held_by = Counter[str]()
        self._refused: dict[str, float] = {}
        self._peak = 0
        self._since = clock()
        self._heard: list[float] = []
        self._cut: list[float] = []
        self._in_vain: list[float] = []
        self._at_ease = math.inf
        self._shrunk = self._held_until = self._pushed_back = -math.inf

    def enters(self, priority: Priority, tenant: str) -> bool:
        """Whether one more may be under way; it is, then, until it leaves."""
        if not self.has_room(priority, tenant):
            return False
        self.running += 1
        self._held_by[tenant] += 1
        self._peak = max(self._peak, self.running)
        return True

    def has_room(self, priority: Priority, tenant: str) -> bool:
        """Whether one more might be under way now; who hears that it may not is expected again."""
        room = self._has_room(priority, tenant)
        if not room:
            self._wants(tenant)
        return room

    def leaves(self, tenant: str) -> None:
        """One is over."""
        self.running -= 1
        self._held_by[tenant] -= 1
        if not self._held_by[tenant]:
            del self._held_by[tenant]

    def heard(self, began: float) -> float:
        """The first word for what began then has come; the seconds that took."""
        waited = self.clock() - began
        if began >= self._since:
            self._sample(self._heard, waited)
        return waited

    def cut_off(self, began: float, waited: float | None = None) -> None:
        """Nobody waits any more for what began then, whose first word took so long, None where there was none yet.

        That it took too long is as true after the limit has grown.
        """
        if began >= self._shrunk:
            if waited is None:
                self._sample(self._cut, self.clock() - began)
            else:
                self._sample(self._in_vain, waited)

    def pushed_back(self) -> None:
        """The engine has no room for all that is under way; what is sent back together is told one after the other."""
        self._pushed_back = self.clock()
        self._held_until = self._pushed_back + _HELD_SECONDS
        if self._pushed_back - self._shrunk >= _SECONDS / 2:
            self._shrink(min(self.limit * _SLOWER, self.running - 1.0))

    def _has_room(self, priority: Priority, tenant: str) -> bool:
        within = self._within_share(tenant)
        if not within and self._wanted_by_another(tenant):
            return False
        limit = self.limit
        if within and self.running >= limit - 1 and self._taken_by_another(tenant):
            limit = min(float(self._most), limit * _OVER)
        return self.running + 1 <= max(1.0, limit * _BATCH if priority == "batch" else limit)

    def _within_share(self, tenant: str) -> bool:
        return self._held_by[tenant] + 1 <= max(1.0, self.limit * _SHARE)

    def _taken_by_another(self, tenant: str) -> bool:
        return any(held > self.limit * _SHARE for other, held in self._held_by.items() if other != tenant)

    def _wanted_by_another(self, tenant: str) -> bool:
        recent = self.clock() - _WANTED_SECONDS
        return any(at > recent for other, at in self._refused.items() if other != tenant)

    def _wants(self, tenant: str) -> None:
        """Remember who was refused less than their share."""
        if self._within_share(tenant):
            now = self.clock()
            self._refused = {other: at for other, at in self._refused.items() if at > now - _WANTED_SECONDS}
            self._refused[tenant] = now

    def _sample(self, samples: list[float], waited: float) -> None:
        samples.append(waited)
        if len(self._heard) + len(self._cut) >= _SAMPLES or self.clock() - self._since >= _SECONDS:
            self._judge()

    def _judge(self) -> None:
        """Who was cut off soon tells nothing of the engine, but keeps the others from standing for all."""
        ease = self._ease()
        bound = max(self._goal, _TIMES_SLOWER * ease)
        queued = max(self._goal * _HURRIED, _TIMES_SLOWER * ease)
        slow = [seconds for seconds in self._heard if seconds > bound]
        wasted = [seconds for seconds in (*self._cut, *self._in_vain) if seconds > queued]
        late, ended = slow + wasted, len(self._heard) + len(self._cut)
        in_time = len(self._heard) - len(slow)
        if len(wasted) > ended * _WASTED:
            self._held_until = self.clock() + _HELD_SECONDS
        if len(late) > ended / 2 or len(wasted) > 2 * ended * _WASTED:
            self._shrink(self.limit * min(_SLOWER, max(_SLOWEST, bound / median(late))))
        elif in_time >= ended / 2 and self._peak >= _USED * self.limit and self.clock() >= self._held_until:
            never_too_high = self._shrunk == -math.inf
            full = self.clock() - self._pushed_back < _FULL_SECONDS
            step = 1.0 if full else math.sqrt(self.limit)
            self._begin(min(float(self._most), self.limit * _FASTER if never_too_high else self.limit + step))
        else:
            self._begin(self.limit)

    def _ease(self) -> float:
        """How long it takes when there is little to do: less is believed at once, more only while there is little.

        The quickest of the first window: of a crowd that comes to a fresh process, most have waited for each other.
        """
        if self._heard:
            first_word = median(self._heard)
            if self._at_ease == math.inf:
                self._at_ease = min(self._heard)
            elif first_word < self._at_ease:
                self._at_ease = first_word
            elif self._peak <= max(_LEAST, self.limit / 2):
                self._at_ease += _DRIFT * (first_word - self._at_ease)
        return 0.0 if self._at_ease == math.inf else self._at_ease

    def _shrink(self, limit: float) -> None:
        self._shrunk = self.clock()
        self._held_until = max(self._held_until, self._shrunk + _SECONDS)  # until it is seen what that has done
        self._begin(max(float(min(_LEAST, self._most)), limit))

    def _begin(self, limit: float) -> None:
        self.limit = limit
        self._since = self.clock()
        self._heard.clear()
        self._cut.clear()
        self._in_vain.clear()
        self._peak = self.running
