"""A sliding window in parts: what was taken in the last so many seconds, exact to one part and never too little."""

from gateway.limits.budgets import SLOTS


class Window:
    """`now` is seconds of a clock that does not go back; slots are its parts by number."""

    __slots__ = ("_amounts", "_width", "total")

    def __init__(self, seconds: int) -> None:
        self._width = seconds / SLOTS
        self._amounts: dict[int, int] = {}  # in order, as the clock is
        self.total = 0

    def advance(self, now: float) -> None:
        """Forget the parts that lie before the window whole."""
        first = int(now / self._width) - SLOTS
        for slot in [slot for slot in self._amounts if slot < first]:
            self.total -= self._amounts.pop(slot)

    def take(self, now: float, amount: int) -> int:
        """Write an amount down; returns the slot that it is in."""
        slot = int(now / self._width)
        self._amounts[slot] = self._amounts.get(slot, 0) + amount
        self.total += amount
        return slot

    def correct(self, slot: int, more: int) -> None:
        """Change what is written in a slot, unless that has left the window."""
        if slot in self._amounts:
            self._amounts[slot] += more
            self.total += more

    def frees(self, now: float, limit: int, held: int) -> float | None:
        """Seconds until less than `limit` is taken, what is only `held` left out; None where that is so already."""
        left = self.total - held
        if left < limit:
            return None
        for slot, amount in self._amounts.items():
            left -= amount
            if left < limit:
                return self._leaves(slot) - now
        return SLOTS * self._width

    def reset(self, now: float) -> float:
        """Seconds until all of it is free."""
        return self._leaves(next(reversed(self._amounts))) - now if self._amounts else 0.0

    def _leaves(self, slot: int) -> float:
        return (slot + SLOTS + 1) * self._width
