"""What one part of an evaluation hands over to be recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Measured:
    """`figures` by section and name; `held` is False where something must not be as it is.

    `rows` tell of each question, and are kept with the data: what a collection asks is no part of the record.
    `configurations` are rows of finding, which stand in one list for all collections.
    """

    figures: Mapping[str, Mapping[str, Any]]
    rows: Sequence[Mapping[str, Any]] = ()
    held: bool = True
    configurations: Sequence[Mapping[str, Any]] = ()
