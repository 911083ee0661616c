"""One replica of an engine: what it has to do for us, and what is known of it from how it answered."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from serving.breaker import Breaker
from serving.errors import EngineBusy
from serving.generator import Generator

_BUSY_SECONDS, _BUSY_AT_MOST = 0.25, 30.0  # where it does not say how long, as vLLM does not
_TURNED_AWAY = 5
_SILENT_SECONDS, _TIMES_USUAL = 5.0, 10
_REMEMBERED = 20


@dataclass(slots=True)
class Replica:
    """It has a breaker for each model. `outstanding` are requests under way, `turn` is when it was chosen last."""

    name: str
    generator: Generator
    clock: Callable[[], float]
    outstanding: int = 0
    turn: int = 0
    busy_until: float = float("-inf")
    breakers: dict[str, Breaker] = field(default_factory=dict)
    _spoke: float = float("-inf")
    _first_words: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    _turned_away: int = 0

    def breaker(self, model: str) -> Breaker:
        """What is known of it for a model; nothing at first."""
        if model not in self.breakers:
            self.breakers[model] = Breaker(self.clock)
        return self.breakers[model]

    def speaks(self, asked: float | None = None) -> None:
        """It said something, the first word where it is told when that was asked for."""
        self._spoke = self.clock()
        self._turned_away = 0
        if asked is not None:
            self._first_words.append(self._spoke - asked)

    def silent(self, asked: float) -> float:
        """Seconds in which it said nothing to anybody, of those since it was asked."""
        return self.clock() - max(asked, self._spoke)

    def patience(self, most: float) -> float:
        """Seconds of silence after which it hangs: far more than a first word usually takes, `most` while none came."""
        if not self._first_words:
            return most
        return min(most, max(_SILENT_SECONDS, _TIMES_USUAL * median(self._first_words)))

    def turns_away(self, busy: EngineBusy) -> bool:
        """It says that it is full; whether that cannot be, as it was so again and again with no other work of ours."""
        wait = min(busy.retry_after or _BUSY_SECONDS, _BUSY_AT_MOST)
        self.busy_until = max(self.busy_until, self.clock() + wait)
        self._turned_away += self.outstanding <= 1
        if self._turned_away < _TURNED_AWAY:
            return False
        self._turned_away = 0
        return True
