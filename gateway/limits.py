"""May they, now: how many answers a tenant may have in flight."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.errors import Overloaded


class Limits:
    """Counts per tenant in this process; the count falls again however an answer ends."""

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._in_flight: Counter[str] = Counter()

    @contextmanager
    def admit(self, tenant: str) -> Iterator[dict[str, str]]:
        """Hold one place while an answer is made, giving its `x-ratelimit-*` headers; Overloaded when none is free."""
        if self._in_flight[tenant] >= self._concurrency:
            raise Overloaded(
                f"{self._concurrency} answers are in flight for your tenant: wait for one to end", retry_after=1.0
            )
        self._in_flight[tenant] += 1
        try:
            remaining = self._concurrency - self._in_flight[tenant]
            yield {
                "x-ratelimit-limit-concurrency": str(self._concurrency),
                "x-ratelimit-remaining-concurrency": str(remaining),
            }
        finally:
            self._in_flight[tenant] -= 1
            if not self._in_flight[tenant]:
                del self._in_flight[tenant]

    @property
    def in_flight(self) -> int:
        """Answers being made now, of all tenants."""
        return self._in_flight.total()
