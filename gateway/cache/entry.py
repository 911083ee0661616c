"""An answer as it is kept: what it came to, and as of when."""

from dataclasses import dataclass

import msgspec

from gateway.answers.made import Made


@dataclass(frozen=True, slots=True)
class Entry:
    """`sequence` is the tenant's in the catalog before anything was found; `at` is in seconds since the epoch."""

    name: str
    sequence: int
    at: float
    made: Made


encoded = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Entry)


def decoded(name: str, value: bytes) -> Entry | None:
    """The entry that was kept under this name; None for another one, or one of another release."""
    try:
        found = _decoder.decode(value)
    except msgspec.DecodeError:
        return None
    return found if found.name == name else None
