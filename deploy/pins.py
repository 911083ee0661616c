"""Which versions answer: the two pins, as a value that nothing can change."""

import msgspec


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One axis: `stable` answers every request; the other two are open beside it, for callers that force one.

    All three are kept up to date, so that a flip to any of them, or back, needs nothing to be built.
    """

    stable: str
    previous: str | None = None
    candidate: str | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """Every version the pin names, each once, stable first."""
        given = (self.stable, self.previous, self.candidate)
        return tuple(dict.fromkeys(name for name in given if name is not None))


class Pins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of `releases.yaml`: what the model is shown, and how the model behaves, each on its own."""

    index: Pin
    model: Pin


class Applied(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pins that were in force, and their generation: it rises with each change of pins that is applied."""

    generation: int
    pins: Pins
