"""What is opened once and lent to all who name the same: whoever is last to give it back closes it."""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    """What holds threads, weights or connections."""

    def close(self) -> None:
        """Let go of them."""
        ...


Name = TypeVar("Name", bound=Hashable)
Thing = TypeVar("Thing", bound=Closable)


@dataclass(slots=True)
class _Slot(Generic[Thing]):
    """`opening` is held by whoever opens the thing; those who wait for it are among the holders."""

    thing: Thing | None = None
    holders: int = 0
    opening: threading.Lock = field(default_factory=threading.Lock)


class Lending(Generic[Name, Thing]):
    """Things by what they are named by; threads may lend and give back at the same time."""

    def __init__(self) -> None:
        self._slots: dict[Name, _Slot[Thing]] = {}
        self._lock = threading.Lock()  # never held while anything is opened or closed

    def lend(self, name: Name, opened: Callable[[], Thing]) -> Thing:
        """The thing of that name, `opened` by whoever is first, while others wait who want the same."""
        with self._lock:
            slot = self._slots.setdefault(name, _Slot())
            slot.holders += 1
        try:
            with slot.opening:
                if slot.thing is None:
                    slot.thing = opened()
                return slot.thing
        except BaseException:
            with self._lock:
                self._leave(name, slot)
            raise

    def give_back(self, thing: Thing) -> None:
        """The last who does closes it; what was not lent here is closed at once."""
        with self._lock:
            found = next((one for one in self._slots.items() if one[1].thing is thing), None)
            if found is not None and not self._leave(*found):
                return
        thing.close()

    def _leave(self, name: Name, slot: _Slot[Thing]) -> bool:
        """Whether that was the last holder."""
        slot.holders -= 1
        if not slot.holders:
            del self._slots[name]
        return not slot.holders
