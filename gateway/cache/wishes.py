"""What a request's `Cache-Control` wishes: to leave nothing behind, or an answer that is not too old."""

import re
from dataclasses import dataclass
from typing import Final

_MAX_AGE = re.compile(r'max-age="?(\d{1,9})"?', re.ASCII)


@dataclass(frozen=True, slots=True)
class Wish:
    """Without `keep` an answer is neither taken from the cache nor left in it; `max_age` is in seconds, 0 a new one."""

    keep: bool = True
    max_age: int | None = None


WISHLESS: Final = Wish()


def wish_of(cache_control: str | None) -> Wish:
    """Directives that are not known are ignored, as RFC 9111 wants it."""
    directives = [one.strip().lower() for one in (cache_control or "").split(",")]
    ages = [int(found[1]) for one in directives if (found := _MAX_AGE.fullmatch(one))]
    if "no-cache" in directives:
        ages.append(0)
    return Wish(keep="no-store" not in directives, max_age=min(ages, default=None))
