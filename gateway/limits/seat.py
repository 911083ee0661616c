"""A place among the answers under way: taken when a model is to be asked, and what becomes of it is told the limit."""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.errors import Overloaded
from gateway.limits.concurrency import Concurrency, Priority
from serving.errors import GenerationTimeout

_SPREAD = 3  # seconds over which those who are refused come again
_OF_THE_REQUEST = ("first_piece", "total")  # timeouts, the others are of a connection


class Seat:
    """One answer's; how long it waits for its first word is counted from when it is taken."""

    def __init__(
        self, concurrency: Concurrency, tenant: str, priority: Priority, refused: Callable[[Priority], None]
    ) -> None:
        """`refused` is told of what priority those are that find no room."""
        self._concurrency = concurrency
        self._tenant = tenant
        self._priority = priority
        self._refused = refused
        self._began = concurrency.clock()
        self._waited: float | None = None
        self._taken = False

    def another(self) -> "Seat":
        """One more for the same caller."""
        return Seat(self._concurrency, self._tenant, self._priority, self._refused)

    def look(self) -> None:
        """Raise Overloaded where there is no room."""
        if not self._concurrency.has_room(self._priority, self._tenant):
            raise self._no_room()

    def take(self) -> None:
        """Take it, unless that is done already. Raises Overloaded."""
        if not self._taken:
            if not self._concurrency.enters(self._priority, self._tenant):
                raise self._no_room()
            self._taken, self._began = True, self._concurrency.clock()

    def leave(self) -> None:
        """Give it back, if it is taken."""
        if self._taken:
            self._taken = False
            self._concurrency.leaves(self._tenant)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take it for as long as the block lasts, and say how that ended. Raises Overloaded."""
        self.take()
        try:
            yield
        except BaseException as error:
            if _cut_off(error):
                self._concurrency.cut_off(self._began, self._waited)
            raise
        finally:
            self.leave()

    def heard(self) -> None:
        """The first word has come: where it waited, for the engine or for us, is all one."""
        if self._waited is None:
            self._waited = self._concurrency.heard(self._began)

    def pushed_back(self) -> None:
        """The engine had no room."""
        self._concurrency.pushed_back()

    def _no_room(self) -> Overloaded:
        self._refused(self._priority)
        told = "as many answers are under way as come in time: try again in a moment"
        return Overloaded(told, retry_after=1 + secrets.randbelow(_SPREAD))


def _cut_off(error: BaseException) -> bool:
    """Whether it is over as nobody waits any more, and not as something failed."""
    if isinstance(error, GenerationTimeout):
        return error.phase in _OF_THE_REQUEST
    return isinstance(error, asyncio.CancelledError | GeneratorExit | TimeoutError)
