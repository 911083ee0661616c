"""Takes personal data and secrets out of text, by their form and, where they have one, by their check digits."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from itertools import accumulate
from typing import Final

_BLANK = "[ \u00a0\u2007\u2009\u202f]"
_DASH = "[-\u2010\u2011\u2012\u2013]"
# How many characters an IBAN of each country has: what is longer is followed by something else.
_IBAN_LENGTHS: Final = {
    **dict.fromkeys(("NO",), 15),
    **dict.fromkeys(("BE",), 16),
    **dict.fromkeys(("DK", "FI", "FK", "FO", "GL", "NL", "SD"), 18),
    **dict.fromkeys(("MK", "SI"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "MN", "XK"), 20),
    **dict.fromkeys(("CH", "CR", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "BH", "DE", "GB", "GE", "IE", "ME", "RS", "VA"), 22),
    **dict.fromkeys(("AE", "GI", "IL", "IQ", "OM", "SO", "TL"), 23),
    **dict.fromkeys(("AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"), 24),
    **dict.fromkeys(("LY", "PT", "ST"), 25),
    **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("BI", "DJ", "FR", "GR", "IT", "MC", "MR", "SM"), 27),
    **dict.fromkeys(("AL", "AZ", "BY", "CY", "DO", "GT", "HN", "HU", "LB", "NI", "PL", "SV"), 28),
    **dict.fromkeys(("BR", "EG", "PS", "QA", "UA"), 29),
    **dict.fromkeys(("JO", "KW", "MU", "YE"), 30),
    **dict.fromkeys(("MT", "SC"), 31),
    **dict.fromkeys(("LC",), 32),
    **dict.fromkeys(("RU",), 33),
}
_SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\b(?:tp_|sk-|[rsp]k_(?:live|test)_|gh[oprsu]_|github_pat_|glpat-|xox[abeoprs]-|xapp-|hf_|npm_|pypi-|AIza)[\w-]{12,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|(?<=[Bb]earer )[\w.~+/-]{16,}=*",
    re.DOTALL | re.ASCII,
)
# From the start of a run to the first `eyJ` in it: a later one is no token either when this one is none.
_JWT = re.compile(r"(?<![\w-])((?:(?!\beyJ)[\w-])*)\beyJ[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+)?", re.ASCII)
# an answer's own are shown as nobody can click them, and are no less somebody's
_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]++(?:@| \(at\) )[\w-]{1,63}(?:[.\u00b7][\w-]{1,63})+")
_IBAN = re.compile(rf"(?<![A-Za-z0-9])[A-Za-z]{{2}}\d{{2}}(?:{_BLANK}?[A-Za-z0-9]){{11,30}}")
_DIGITS = re.compile(rf"(?<!\d)\d(?:(?:{_BLANK}|{_DASH})?\d){{12,40}}(?!\d)")
_CARD_STARTS: Final = range(2, 7)
_GROUP = re.compile(r"\d+")
_SSN = re.compile(rf"(?<![\w-])(?!000|666|9)\d{{3}}({_DASH})(?!00)\d\d\1(?!0000)\d{{4}}(?![\w-])")
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)")
_IPV6 = re.compile(
    r"(?<![\w:])(?=[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:)"
    r"(?:[0-9A-Fa-f:]{2,30}:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f:]{2,39})(?!\w|\.\d)"
)
_APART = rf"(?:{_BLANK}|{_DASH}|[./])"
_PHONE = re.compile(
    rf"(?<![\w+])(?:\+|00)[1-9](?:(?:{_APART}|[()]){{0,3}}\d){{6,14}}(?!\w)"  # international
    rf"|(?<![\w(])\(?0[1-9]\d{{0,4}}\)?{_APART}{{1,3}}\d(?:{_APART}?\d){{4,10}}(?!\w)"  # with a trunk prefix
    rf"|(?<![\w(])(?:\([2-9]\d{{2}}\){_BLANK}?|[2-9]\d{{2}}{_APART})[2-9]\d{{2}}{_APART}\d{{4}}(?!\w)"  # North America
)


def redact(text: str) -> str:
    """The text with a word in brackets for each secret, address or number of a person. What it says stays so twice.

    Anybody may choose the text: how long this takes grows with its length and no faster.
    """
    text = _JWT.sub(r"\1[secret]", text)
    text = _SECRET.sub("[secret]", text)
    text = _EMAIL.sub("[email]", text)
    text = _IBAN.sub(_without_iban, text)
    text = _DIGITS.sub(_without_cards, text)
    text = _SSN.sub("[ssn]", text)
    text = _IPV6.sub(_if(_is_ipv6, "[ip]"), text)
    text = _IPV4.sub(_if(_is_ipv4, "[ip]"), text)
    return _PHONE.sub("[phone]", text)


def _if(holds: Callable[[str], bool], told: str) -> Callable[[re.Match[str]], str]:
    return lambda found: told if holds(found.group()) else found.group()


def _without_iban(found: re.Match[str]) -> str:
    """The number ends where those of its country end; words may follow it."""
    written = found.group()
    length, counted = _IBAN_LENGTHS.get(written[:2].upper(), 0), 0
    for at, character in enumerate(written, start=1):
        counted += character.isalnum()
        if counted == length:
            number = "".join(filter(str.isalnum, written[:at]))
            return f"[iban]{written[at:]}" if _mod_97(number) == 1 else written
    return written


def _mod_97(number: str) -> int:
    """ISO 7064, as ISO 13616 applies it: the first four characters count last, letters as 10 to 35."""
    return int("".join(str(int(character, 36)) for character in number[4:] + number[:4])) % 97


def _without_cards(found: re.Match[str]) -> str:
    """Numbers may stand next to a card's: every run of whole groups is tried, the longest first."""
    written, kept, at = found.group(), [], 0
    for start, end in _cards(written):
        if start >= at:
            kept += [written[at:start], "[card]"]
            at = end
    return "".join((*kept, written[at:]))


def _cards(written: str) -> Iterator[tuple[int, int]]:
    groups = [group.span() for group in _GROUP.finditer(written)]
    digits = [int(one) for one in written if one.isdigit()]
    passes = _luhn(digits)
    ends = list(accumulate(end - start for start, end in groups))
    for first, (start, end) in enumerate(groups):
        before = ends[first] - (end - start)
        if digits[before] not in _CARD_STARTS:
            continue
        for last in range(bisect_right(ends, before + 19) - 1, first - 1, -1):
            if ends[last] - before < 13:
                break
            if passes(before, ends[last]):
                yield start, groups[last][1]
                break


def _luhn(digits: Sequence[int]) -> Callable[[int, int], bool]:
    """ISO/IEC 7812, every second digit from the right counting twice, of any run of them without adding it up again."""
    twice = [sum(divmod(2 * one, 10)) for one in digits]
    pairs = list(zip(digits, twice, strict=True))
    sums = [list(accumulate((pair[(n + odd) % 2] for n, pair in enumerate(pairs)), initial=0)) for odd in (0, 1)]

    def passes(start: int, end: int) -> bool:
        of_it = sums[(end - 1) % 2]
        return (of_it[end] - of_it[start]) % 10 == 0

    return passes


def _is_ipv4(written: str) -> bool:
    try:
        IPv4Address(written)
    except AddressValueError:
        return False
    return True


def _is_ipv6(written: str) -> bool:
    try:
        IPv6Address(written)
    except AddressValueError:
        return False
    return any(map(str.isdigit, written))  # words of a language with `::` have none
