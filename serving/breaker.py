"""What is known of a target from how it answered: whether to ask it, and how long to leave it alone before a trial."""

from collections import deque
from collections.abc import Callable

_REMEMBERED = 20  # of its last answers
_LEAST_FAILURES = 3
_SHARE = 0.5  # of what is remembered
_SOONEST_SECONDS, _LATEST_SECONDS = 1.0, 10.0


class Breaker:
    """Opens when half of the last answers failed, or at the first failure that leaves no doubt.

    While it is open nothing is sent but one trial after another, each by whoever owns the breaker and after `pause`
    seconds, longer each time: no caller's request is ever the trial. A trial that succeeds closes it.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._answers: deque[bool] = deque(maxlen=_REMEMBERED)
        self._pause = _SOONEST_SECONDS
        self._trial_at: float | None = None

    @property
    def open(self) -> bool:
        """Whether it must not be asked."""
        return self._trial_at is not None

    @property
    def pause(self) -> float:
        """Seconds until the next trial; 0 where none is needed or one is due."""
        return 0.0 if self._trial_at is None else max(0.0, self._trial_at - self._clock())

    def succeeded(self) -> None:
        """It answered a request. What began before it opened says nothing of how it is now."""
        if not self.open:
            self._answers.append(True)

    def failed(self, *, surely: bool = False) -> bool:
        """It did not answer, `surely` where nobody is there; whether that opened the breaker."""
        if self.open:
            return False
        self._answers.append(False)
        failures = self._answers.count(False)
        if surely or (failures >= _LEAST_FAILURES and failures >= _SHARE * len(self._answers)):
            self._pause = _SOONEST_SECONDS
            self._trial_at = self._clock() + self._pause
            return True
        return False

    def tried(self, *, well: bool) -> None:
        """How a trial ended."""
        if well:
            self._answers.clear()
            self._trial_at = None
        else:
            self._pause = min(2 * self._pause, _LATEST_SECONDS)
            self._trial_at = self._clock() + self._pause


class RetryBudget:
    """How often a request may be sent again: eight times for a hundred that were asked, and once in ten seconds.

    Ten of those may come at once. So an engine that fails every one of many requests is sent less than a tenth more.
    """

    _EACH, _PER_SECOND, _MOST = 0.08, 0.1, 10.0

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left = self._MOST
        self._at = clock()

    def asked(self) -> None:
        """A request comes in."""
        self._left = min(self._MOST, self._left + self._EACH)

    def take(self) -> bool:
        """Whether one may be sent again; it counts as sent."""
        now = self._clock()
        self._left, self._at = min(self._MOST, self._left + (now - self._at) * self._PER_SECOND), now
        if self._left < 1:
            return False
        self._left -= 1
        return True
