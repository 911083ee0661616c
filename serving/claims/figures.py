"""Numbers, dates, times, amounts and identifiers in a sentence, written one way whatever way they were written."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from serving.claims.lexicon import MONTHS, MULTIPLIERS, NUMBER_WORDS, UNITS

Bound = Literal["", "<", ">"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its unit ("" when it has none; "date", "time" and "id" for those) and the side it bounds."""

    value: str
    unit: str
    bound: Bound = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A figure and the code points it was read from."""

    start: int
    end: int
    figure: Figure


def _either(words: list[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_MONTH = rf"(?:{_either(list(MONTHS))})\b\.?"
_NUMBER = r"\d{1,3}(?:[,.'\u2019\u00a0\u202f]\d{3})+(?:[.,]\d+)?(?!\d)|\d+(?:[.,]\d+)?"
_FIRST = _either([word[:3] for word in (*MONTHS, *NUMBER_WORDS, "one", "usd", "eur", "gbp", "chf")])
_FIGURE = re.compile(
    rf"""
    (?=[\d$\u20ac\u00a3]|(?<![\w])(?:[a-z][a-z_]*+[-/]?\d|[a-z][a-z\d-]++[._][a-z]|us\$|{_FIRST}))
    (?:
      (?P<dotted>\b[a-z][\w-]+(?:\.[a-z][\w-]+)+|\b[a-z]+(?:_[a-z\d]+)+)
    | (?P<iso>(?<!\d)\d{{4}}-\d{{2}}-\d{{2}}(?!\d))
    | (?P<numeric>(?<!\d)\d{{1,2}}\.\d{{1,2}}\.\d{{4}}(?!\d))
    | (?P<id>\b[a-z][a-z_]*[-_/]?\d[\w]*(?:[-._/]\w*\d\w*)*|(?<![\w.])\d+(?:\.\d+){{2,}}|(?<!\d)\d+/\d+(?:/\d+)?)
    | \b(?P<day>\d{{1,2}})(?:st|nd|rd|th|er|\.)?\s+(?:of\s+)?(?P<month>{_MONTH})(?:,?\s+(?P<year>\d{{4}})\b)?
    | \b(?P<month2>{_MONTH})\s+(?:(?P<day2>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s+(?P<year2>\d{{4}})\b)?
                                |(?P<year3>\d{{4}})\b)
    | (?<![\d:])(?P<hour>\d{{1,2}})(?::(?P<minute>\d{{2}}))?\s*(?P<half>[ap]\.?m\b\.?)
    | (?<![\d:])(?P<clock>\d{{1,2}}:\d{{2}})(?!\d)
    | (?:(?P<currency>us\$|[$\u20ac\u00a3]|\b(?:usd|eur|gbp|chf)\b)\s?)?
      (?P<number>(?<![\w.,]){_NUMBER}|\b(?:{_either(list(NUMBER_WORDS))}|one)\b)
      (?:(?:st|nd|rd|th)\b)?
      (?:[\s-]?(?P<times>{_either(list(MULTIPLIERS))})\b)?
      (?:[\s-]?(?P<work>business|working)(?=\sdays?\b)|[\s-]?calendar(?=\sdays?\b))?
      (?:[\s-]?(?P<unit>[%$\u20ac\u00a3]|\u00b0[cf]|per\ ?cent\b|(?:{_either([u for u in UNITS if u.isalpha()])})\b))?
    )
    """,
    re.VERBOSE,
)
_HINT = re.compile(r"\d|\w[._]\w|-")
_HINT_WORDS = frozenset(
    f"{before}{word}{after}"
    for word in (*NUMBER_WORDS, "one")
    for before in ("", "(")
    for after in ("", ",", ".", ":", ";", "!", "?", ")")
)
# Longer phrases are looked up first: "no less than" is another bound than "less than".
_LEAST = """at least;minimum;minimum of;more than;over;above;exceed;exceeds;exceeding;no less than;not less than;
starting at;from;after;mindestens;mehr als;über;nach;au moins;plus de;après"""
_MOST = """at most;maximum;maximum of;up to;less than;fewer than;under;below;within;no more than;not more than;
no later than;not later than;not exceed;not exceeding;before;until;by;höchstens;bis zu;innerhalb von;binnen;weniger als;
au plus;moins de;jusqu'à"""
_LOWER: dict[str, Bound] = {phrase.strip(): ">" for phrase in _LEAST.split(";")}
_UPPER: dict[str, Bound] = {phrase.strip(): "<" for phrase in _MOST.split(";")}
_BOUNDS = _LOWER | _UPPER
_LONGEST_BOUND = 3  # words
_OR_MORE = re.compile(r"\s*(?:or (?:more|longer|above|higher)|and (?:above|more)|oder mehr)\b", re.IGNORECASE)
_OR_LESS = re.compile(r"\s*(?:or (?:less|fewer|below|under)|and (?:below|under)|oder weniger)\b", re.IGNORECASE)
_RANGE = re.compile(r"\s?(?:-|\u2013|to|and|or|bis|und)\s?", re.IGNORECASE)


def find_figures(text: str) -> tuple[Found, ...]:
    """Figures from left to right. The ends of a range have the same unit, whichever of them it stands at."""
    if not _HINT.search(text) and _HINT_WORDS.isdisjoint(text.casefold().split()):
        return ()
    lowered = text.lower()
    text = lowered if len(lowered) == len(text) else text
    found = [one for match in _FIGURE.finditer(text) if (one := _read(match, text)) is not None]
    for position in range(len(found) - 1, 0, -1):
        before, after = found[position - 1], found[position]
        measured = after.figure.unit not in ("", "date", "id")
        if not before.figure.unit and measured and _RANGE.fullmatch(text, before.end, after.start):
            ranged = Figure(before.figure.value, after.figure.unit, before.figure.bound)
            found[position - 1] = Found(before.start, before.end, ranged)
    return tuple(found)


def readings(figure: Figure) -> Iterator[Figure]:
    """The figure, and what else it says: a date says its year, its month and its day."""
    yield figure
    if figure.unit == "date" and not figure.value.startswith("--"):
        year, month, *day = figure.value.split("-")
        yield Figure(year, "")
        if day:
            yield Figure(f"{year}-{month}", "date")
            yield Figure(f"--{month}-{day[0]}", "date")


def _read(match: re.Match[str], text: str) -> Found | None:
    group = match.groupdict()
    figure = _special(group) or _amount(group, match, text)
    return None if figure is None else Found(match.start(), match.end(), figure)


def _special(group: dict[str, str | None]) -> Figure | None:
    if iso := group["iso"]:
        return Figure(iso, "date")
    if numeric := group["numeric"]:
        day, month, year = numeric.split(".")
        return Figure(f"{year}-{int(month):02}-{int(day):02}", "date")
    if identifier := group["id"] or group["dotted"]:
        return Figure(identifier.casefold(), "id")
    if group["month"] or group["month2"]:
        return _date(group)
    if hour := group["hour"]:
        later = 12 if (group["half"] or "").casefold().startswith("p") else 0
        return Figure(f"{int(hour) % 12 + later:02}:{group['minute'] or '00'}", "time")
    if clock := group["clock"]:
        return Figure(clock.zfill(5), "time")
    return None


def _date(group: dict[str, str | None]) -> Figure:
    month = MONTHS[(group["month"] or group["month2"] or "").casefold().rstrip(".")]
    day = group["day"] or group["day2"]
    year = group["year"] or group["year2"] or group["year3"]
    value = "-".join(part for part in (year or "-", f"{month:02}", day and f"{int(day):02}") if part)
    return Figure(value, "date")


def _amount(group: dict[str, str | None], match: re.Match[str], text: str) -> Figure | None:
    number = (group["number"] or "").casefold()
    unit = _unit(group)
    if number == "one":
        if not unit:
            return None
        number = "1"
    value = _value(NUMBER_WORDS.get(number, number), group["times"])
    return Figure(value, unit, _bound(text, match.start(), match.end()))


def _unit(group: dict[str, str | None]) -> str:
    named = (group["unit"] or group["currency"] or "").casefold().replace("per cent", "percent")
    return "workday" if group["work"] else UNITS.get(named, "")


def _value(number: str, times: str | None) -> str:
    whole = re.sub(r"[,.'\u2019\u00a0\u202f](?=\d{3}(?!\d))", "", number).replace(",", ".")
    if times:
        whole = f"{float(whole) * MULTIPLIERS[times.casefold()]:f}"
    return (whole.rstrip("0").rstrip(".") if "." in whole else whole).lstrip("0") or "0"


def _bound(text: str, start: int, end: int) -> Bound:
    before = text[max(0, start - 30) : start].split()
    if before and before[-1] == "the":
        before.pop()
    for length in range(_LONGEST_BOUND, 0, -1):
        if bound := _BOUNDS.get(" ".join(before[-length:])):
            return bound
    if _OR_LESS.match(text, end):
        return "<"
    return ">" if _OR_MORE.match(text, end) else ""
