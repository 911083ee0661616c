"""Evidence grows old by its category's rule, on a day that is the same everywhere."""

from datetime import UTC, date, datetime

import pytest

from retrieval.passages.freshness import is_old, utc_today

TODAY = date(2026, 11, 21)
RULES = {"policy": 365, "news": 0, "*": 30}


@pytest.mark.parametrize(
    ("category", "updated", "old"),
    [
        ("policy", date(2025, 11, 21), False),
        ("policy", date(2025, 11, 20), True),
        ("news", TODAY, False),
        ("news", date(2026, 11, 20), True),
        ("memo", date(2026, 10, 22), False),
        ("memo", date(2026, 10, 21), True),
        (None, date(2026, 10, 22), False),
        (None, date(2026, 10, 21), True),
        ("policy", None, False),
        ("policy", date(2030, 1, 1), False),
    ],
)
def test_a_passage_is_old_after_the_days_of_its_category(category: str | None, updated: date | None, old: bool) -> None:
    assert is_old(category, updated, RULES, TODAY) == old


def test_without_a_rule_nothing_is_old() -> None:
    for category in ("memo", None):
        assert not is_old(category, date(1900, 1, 1), {"policy": 1}, TODAY)
        assert not is_old(category, date(1900, 1, 1), {}, TODAY)


def test_today_is_the_day_in_utc() -> None:
    before = datetime.now(UTC).date()
    assert before <= utc_today() <= datetime.now(UTC).date()
