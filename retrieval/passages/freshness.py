"""When evidence is old: each category of documents ages by its own rule, which belongs to the index version."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

ANY_OTHER = "*"


def utc_today() -> date:
    """The day that decides what has expired and what is old, everywhere the same."""
    return datetime.now(UTC).date()


def is_old(category: str | None, updated: date | None, rules: Mapping[str, int], today: date) -> bool:
    """Whether more days than its category allows have passed; never for a document without a date or without a rule."""
    days = rules.get(category or ANY_OTHER, rules.get(ANY_OTHER))
    return days is not None and updated is not None and (today - updated).days > days
