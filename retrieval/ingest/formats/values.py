"""Numbers, dates and times of spreadsheets and charts as people write them."""

from datetime import date, datetime, time, timedelta

_DIGITS = 15
_MIDNIGHT = time()

Value = str | bool | int | float | date | datetime | time | timedelta | None


def shown(value: Value) -> str:
    """A cell's value in plain words: whole numbers without a point, dates as 2026-03-01, truth as TRUE."""
    match value:
        case None:
            return ""
        case bool():
            return "TRUE" if value else "FALSE"
        case float():
            return f"{value:.{_DIGITS}g}" if abs(value) < 10**_DIGITS else str(value)
        case datetime():
            return shown(value.date()) if value.time() == _MIDNIGHT else f"{shown(value.date())} {shown(value.time())}"
        case date():
            return value.isoformat()
        case time():
            return value.isoformat("seconds" if value.second else "minutes")
        case _:
            return str(value)
