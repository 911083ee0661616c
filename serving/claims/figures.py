"""Numbers, dates, times, amounts and identifiers in a sentence, written one way whatever way they were written."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from serving.claims.lexicon import MONTHS, MULTIPLIERS, NUMBER_WORDS, UNITS
from serving.vocabulary import Vocabulary

Bound = Literal["", "<", ">"]


class Figure(NamedTuple):
    """A value with its unit ("" when it has none; "date", "time" and "id" for those) and the side it bounds."""

    value: str
    unit: str
    bound: Bound = ""


class Found(NamedTuple):
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
    (?P<before>\S*?)
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
_BEGINNING = frozenset((*MONTHS, *NUMBER_WORDS, "one", "usd", "eur", "gbp", "chf"))
_GOES_ON = frozenset((*MONTHS, *MULTIPLIERS, *UNITS, "of", "per", "business", "working", "calendar", "am", "pm"))
_NONE, _MAYBE, _HINTS = range(3)
_AROUND = "(),.;:!?"
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
_BOUND_ENDS = frozenset(phrase.split()[-1] for phrase in _BOUNDS)
_OR = re.compile(
    r"\s*(?:(?P<less>or (?:less|fewer|below|under)|and (?:below|under)|oder weniger)"
    r"|or (?:more|longer|above|higher)|and (?:above|more)|oder mehr)\b",
    re.IGNORECASE,
)
_THOUSANDS = re.compile(r"[,.'\u2019\u00a0\u202f](?=\d{3}(?!\d))")
_RANGE = re.compile(r"\s?(?:-|\u2013|to|and|or|bis|und)\s?", re.IGNORECASE)


def find_figures(text: str) -> tuple[Found, ...]:
    """Figures from left to right. The ends of a range have the same unit, whichever of them it stands at."""
    lowered = text.lower()
    text = lowered if len(lowered) == len(text) else text
    written = text.split()
    promises = list(map(_PROMISES.__getitem__, written))
    if _HINTS not in promises:
        return ()
    found = list(_found(text, written, promises))
    for position in range(len(found) - 1, 0, -1):
        before, after = found[position - 1], found[position]
        measured = after.figure.unit not in ("", "date", "id")
        if not before.figure.unit and measured and _RANGE.fullmatch(text, before.end, after.start):
            ranged = Figure(before.figure.value, after.figure.unit, before.figure.bound)
            found[position - 1] = Found(before.start, before.end, ranged)
    return tuple(found)


def _promise(written: str) -> int:
    """Whether a figure may begin within what stands between two white spaces, and whether it shows that there is one.

    The pattern would find the same without this, at ten times the cost: most words are letters and begin none.
    """
    if _HINT.search(written) or written in _HINT_WORDS:
        return _HINTS
    bare = written.strip(_AROUND)
    return _NONE if not bare or (bare.isalpha() and bare not in _BEGINNING) else _MAYBE


def _found(text: str, written: Sequence[str], promises: Sequence[int]) -> Iterator[Found]:
    """As the pattern finds them one after another."""
    end = at = 0
    for one, promise, following in zip(written, promises, (*written[1:], ""), strict=True):
        start = text.index(one, at)
        at, stop = max(start, end), start + len(one)
        if one.isdecimal() and at == start and _APART[following]:
            yield Found(start, stop, Figure(one.lstrip("0") or "0", "", _bound(text, start, stop)))
        elif promise:
            while at < stop and (match := _FIGURE.match(text, at)):
                at = end = match.end()
                if figure := _read(match, text):
                    yield Found(match.end("before"), end, figure)
        at = stop


def _is_apart(written: str) -> bool:
    """Whether a number before it is complete: neither a unit nor a month, nor anything but letters."""
    bare = written.rstrip(_AROUND)
    return not written or (bare.isalpha() and bare not in _GOES_ON)


def readings(figure: Figure) -> Iterator[Figure]:
    """The figure, and what else it says: a date says its year, its month and its day."""
    yield figure
    if figure.unit == "date" and not figure.value.startswith("--"):
        year, month, *day = figure.value.split("-")
        yield Figure(year, "")
        if day:
            yield Figure(f"{year}-{month}", "date")
            yield Figure(f"--{month}-{day[0]}", "date")


def _read(match: re.Match[str], text: str) -> Figure | None:
    special = _SPECIAL.get(match.lastgroup or "")
    return special(match) if special else _amount(match, text)


def _numeric(match: re.Match[str]) -> Figure:
    day, month, year = match["numeric"].split(".")
    return Figure(f"{year}-{int(month):02}-{int(day):02}", "date")


def _hour(match: re.Match[str]) -> Figure:
    later = 12 if match["half"].startswith("p") else 0
    return Figure(f"{int(match['hour']) % 12 + later:02}:{match['minute'] or '00'}", "time")


def _date(match: re.Match[str]) -> Figure:
    month = MONTHS[(match["month"] or match["month2"]).rstrip(".")]
    day = match["day"] or match["day2"]
    year = match["year"] or match["year2"] or match["year3"]
    value = "-".join(part for part in (year or "-", f"{month:02}", day and f"{int(day):02}") if part)
    return Figure(value, "date")


# By the last group of the pattern that a match has; all others are amounts.
_SPECIAL: dict[str, Callable[[re.Match[str]], Figure]] = {
    "iso": lambda match: Figure(match["iso"], "date"),
    "numeric": _numeric,
    "id": lambda match: Figure(match["id"].casefold(), "id"),
    "dotted": lambda match: Figure(match["dotted"].casefold(), "id"),
    **dict.fromkeys(("month", "year", "month2", "day2", "year2", "year3"), _date),
    "half": _hour,
    "clock": lambda match: Figure(match["clock"].zfill(5), "time"),
}


def _amount(match: re.Match[str], text: str) -> Figure | None:
    number, unit = match["number"], _unit(match)
    if number == "one":
        if not unit:
            return None
        number = "1"
    value = _value(NUMBER_WORDS.get(number, number), match["times"])
    return Figure(value, unit, _bound(text, match.end("before"), match.end()))


def _unit(match: re.Match[str]) -> str:
    currency, work, unit = match.group("currency", "work", "unit")
    named = (unit or currency or "").casefold().replace("per cent", "percent")
    return "workday" if work else UNITS.get(named, "")


def _value(number: str, times: str | None) -> str:
    if not times and number.isdigit():
        return number.lstrip("0") or "0"
    whole = _THOUSANDS.sub("", number).replace(",", ".")
    if times:
        whole = f"{float(whole) * MULTIPLIERS[times.casefold()]:f}"
    return (whole.rstrip("0").rstrip(".") if "." in whole else whole).lstrip("0") or "0"


def _bound(text: str, start: int, end: int) -> Bound:
    before = text[max(0, start - 30) : start].split()
    if before and before[-1] == "the":
        before.pop()
    if before and before[-1] in _BOUND_ENDS:
        for length in range(_LONGEST_BOUND, 0, -1):
            if bound := _BOUNDS.get(" ".join(before[-length:])):
                return bound
    found = _OR.match(text, end)
    return "" if found is None else "<" if found["less"] else ">"


_PROMISES, _APART = Vocabulary(_promise), Vocabulary(_is_apart)
