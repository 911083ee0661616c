"""Which versions answer: the two pins, as a value that nothing can change."""

import msgspec


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One axis: `stable` answers every request; the others are open beside it, for callers that force one.

    All are kept up to date, so that a flip to any of them, or back, needs nothing to be built. `fallback`, which only a
    model may have, answers while no engine serves the stable one.
    """

    stable: str
    previous: str | None = None
    candidate: str | None = None
    fallback: str | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """Every version the pin names, each once, stable first."""
        given = (self.stable, self.previous, self.candidate, self.fallback)
        return tuple(dict.fromkeys(name for name in given if name is not None))


class Pins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of `releases.yaml`: what the model is shown, and how the model behaves, each on its own."""

    index: Pin
    model: Pin


class Applied(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pins that were in force, and their generation: it rises with each change of pins that is applied."""

    generation: int
    pins: Pins
