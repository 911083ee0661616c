"""Which versions answer: the two pins, as a value that nothing can change."""

import msgspec


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One axis: the version that every request gets."""

    stable: str


class Pins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of `releases.yaml`: what the model is shown, and how the model behaves, each on its own."""

    index: Pin
    model: Pin
