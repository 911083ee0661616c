"""Whether this process is about to end: it answers still, and asks everybody to go elsewhere."""

from dataclasses import dataclass


@dataclass(slots=True)
class Draining:
    """Begins once, and ends with the process."""

    begun: bool = False
