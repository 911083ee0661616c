"""What is opened once and lent to all who name the same: whoever is last to give it back closes it."""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    """What holds threads, weights or connections."""

    def close(self) -> None:
        """Let go of them."""
        ...


Name = TypeVar("Name", bound=Hashable)
Thing = TypeVar("Thing", bound=Closable)


@dataclass(slots=True)
class _Lent(Generic[Thing]):
    thing: Thing
    holders: int = 0


class Lending(Generic[Name, Thing]):
    """Things by what they are named by; threads may lend and give back at the same time."""

    def __init__(self) -> None:
        self._open: dict[Name, _Lent[Thing]] = {}
        self._lock = threading.Lock()

    def lend(self, name: Name, opened: Callable[[], Thing]) -> Thing:
        """The thing of that name, `opened` by whoever is first, while the others wait."""
        with self._lock:
            if name not in self._open:
                self._open[name] = _Lent(opened())
            lent = self._open[name]
            lent.holders += 1
            return lent.thing

    def give_back(self, thing: Thing) -> None:
        """The last who does closes it; what was not lent here is closed at once."""
        with self._lock:
            found = next((one for one in self._open.items() if one[1].thing is thing), None)
            if found is not None:
                name, lent = found
                lent.holders -= 1
                if lent.holders:
                    return
                del self._open[name]
        thing.close()
