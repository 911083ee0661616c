"""What in a text would become live where it is rendered as Markdown or HTML, judged character by character.

Renderers differ in where code, brackets and words end, so every rule is local: it looks back at what was passed on and
a little ahead, and kills what any of them would take for a link, an image, a tag or a macro.
"""

import re
from collections.abc import Callable, Mapping
from html.entities import html5

from serving.citable import Citable

KILL = 0  # how many code points may stay as they are; none: the first is exchanged
LOOK_BACK = 1_024
_LONGEST_HOST = 256
_LONGEST_NAME = 64

_HOST = re.compile(r"(?:[\w.$+=^`|~-]|[^\x00-\x7f\s])*")  # names may hold symbols, and renderers link them
_NAME = re.compile(r"[\w-]*")
_LETTERS = re.compile(r"[A-Za-z]*")
_SCHEME = re.compile(
    r"(?:\A|[^A-Za-z0-9])(?:about|blob|callto|data|facetime|feed|file|geo|intent|javascript|magnet|mailto|search-ms"
    r"|sips?|skype|sms|tel|vbscript|view-source|webcals?|xmpp)\Z",
    re.IGNORECASE,
)
_URL_SCHEME = re.compile(r"(?<![A-Za-z0-9])(https?:/)\Z", re.IGNORECASE)
_CITED = re.compile(r"(?<!\\)\[[\d, ]+\]\Z")
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,31})\Z")
_ENTITIES = frozenset(name.removesuffix(";") for name, value in html5.items() if value.isascii())
_LOCAL_PART = re.compile(r"[^\s()<>\[\]{}\"'*|]*")
# what may be the top of a name, whether there is such a one today or not
_TOP = re.compile(r"[^\W\d_]{2,}|xn--.*", re.IGNORECASE)
# TeX macros that link, load or style in MathJax and KaTeX, and those that give such a one another name
_MACRO = re.compile(
    r"bbox|class|cssid|data|def|edef|gdef|href|htmlclass|htmldata|htmlid|htmlstyle|includegraphics|let"
    r"|mmltoken|newcommand|newenvironment|providecommand|renewcommand|require|style|toggle|unicode|url|xdef",
    re.IGNORECASE,
)
# of these, such as need their argument to do anything, and are directories in paths: `C:\data\x`
_DIRECTORY = re.compile(r"(?:class|data|style)(?=[\\.,;:)`'\"]|\Z)", re.IGNORECASE)
_PATH = re.compile(r"(?:(?<![^\s`'\"(])[A-Za-z]:|\\[\w.-]+)\Z")
_IN_PLACES = frozenset("/:.?#")
_Rule = Callable[[str, str, int, bool], int | None]


class LiveLinks:
    """The rules, by the character that would be exchanged. A rule says how much may stay, `KILL`, or None: not yet.

    It is given what was passed on, at most `LOOK_BACK` code points of it; the text; where in it the character stands;
    and whether the text ends there.
    """

    def __init__(self, citable: Citable, *, structured: bool) -> None:
        self._citable = citable
        self._rules: Mapping[str, _Rule] = {
            "<": _tag,
            "(": self._target,
            "/": self._slash,
            "@": self._address,
            ":": _colon,
            ".": _dot,
            "?": _query,
            "#": _query,
            ";": _entity,
            "\\": _escape if structured else _backslash,
        }

    def judge(self, before: str, text: str, at: int, *, ended: bool) -> int | None:
        """What may stay of `text` from `at` on, where a suspect character stands."""
        kept = self._rules[text[at]](before, text, at, ended)
        if kept == KILL and text[at] in _IN_PLACES:
            return self._citable.place(before, text, at, ended=ended)
        return kept

    def _target(self, before: str, text: str, at: int, ended: bool) -> int | None:
        """The target of a Markdown link; images have no business in an answer, not even a source's."""
        if not before.endswith("]"):
            return 1
        if "![" in before:
            return KILL
        length = self._citable.link(text, at + 1, closed=True, ended=ended)
        return length if length is None or length == KILL else 1 + length

    def _slash(self, before: str, text: str, at: int, ended: bool) -> int | None:
        """The second slash of `//`, or the first after the name of a host."""
        if scheme := _URL_SCHEME.search(before):
            return self._citable.link(text, at, closed=False, ended=ended, before=scheme[1])
        if before.endswith("/"):
            opener = before[-2:-1]
            return KILL if opener == ":" else 1 if opener.isalnum() else _unless_space(text, at, ended)
        return KILL if _ends_with_host(before) else 1

    def _address(self, before: str, text: str, at: int, ended: bool) -> int | None:
        """E-mail addresses, unless a passage has the same."""
        if not before or before[-1].isspace():
            return 1
        domain = _matched(_HOST, text, at + 1)
        if at + 1 + len(domain) == len(text) and not ended and len(domain) <= _LONGEST_HOST:
            return None
        domain = domain.rstrip(".-_")
        if "." not in domain:
            return 1
        local = _ending(_LOCAL_PART, before)
        return 1 + len(domain) if self._citable.address(f"{local}@{domain}") else KILL


def _tag(before: str, text: str, at: int, ended: bool) -> int | None:
    """Tags, comments and `<https://…>`; not `a < b`, nor `<3`."""
    follows = text[at + 1 : at + 2]
    if not follows:
        return 1 if ended else None
    return KILL if follows in "/!?" or (follows.isascii() and follows.isalpha()) else 1


def _colon(before: str, text: str, at: int, ended: bool) -> int | None:
    """The definition of a reference or a footnote, a scheme that acts, a port."""
    if before.endswith("]"):
        return 1 if _in_a_sentence(before) else KILL
    if _SCHEME.search(before[-16:]) or _ends_with_host(before):
        return _unless_space(text, at, ended)
    return 1


def _in_a_sentence(before: str) -> bool:
    """Whether it ends with a citation that has words before it on its line, so that no renderer defines anything."""
    line = before[max(before.rfind("\n"), before.rfind("\r")) + 1 :]
    cited = _CITED.search(line)
    return cited is not None and any(map(str.isalpha, line[: cited.start()]))


def _dot(before: str, text: str, at: int, ended: bool) -> int | None:
    """The dot after `www`, and the last of a name with three parts or more, as one of them can carry what was read."""
    host = _host(before)
    if host[-3:].lower() == "www":
        return KILL
    if "." not in host.strip(".") or host.endswith("."):
        return 1
    top = _matched(_NAME, text, at + 1)
    if at + 1 + len(top) == len(text) and not ended and len(top) <= _LONGEST_NAME:
        return None
    return KILL if _TOP.fullmatch(top.rstrip("_-")) else 1


def _query(before: str, text: str, at: int, ended: bool) -> int | None:
    """What would be sent along to a host, and entities by their number."""
    if text[at] == "#" and before.endswith("&"):
        return KILL
    return _unless_space(text, at, ended) if _ends_with_host(before) else 1


def _entity(before: str, text: str, at: int, ended: bool) -> int | None:
    """Entities for characters that would be live."""
    found = _ENTITY.search(before[-34:])
    return KILL if found and found[1] in _ENTITIES else 1


def _backslash(before: str, text: str, at: int, ended: bool) -> int | None:
    r"""Macros of formulas that link, and what some renderers link once `\` is taken out: `https\://`, `a\@b`."""
    follows = text[at + 1 : at + 2]
    if not follows:
        return 1 if ended else None
    if follows in ":/.@":
        return KILL if before[-1:].isalnum() or before[-1:] in (":", "/") else 1
    if follows in "?#" and _ends_with_host(before):
        return KILL
    name = _matched(_LETTERS, text, at + 1)
    if at + 1 + len(name) == len(text) and not ended and len(name) <= _LONGEST_NAME:
        return None
    if not _MACRO.fullmatch(name):
        return 1
    return 1 if _DIRECTORY.match(text, at + 1) and _PATH.search(before[-_LONGEST_NAME:]) else KILL


def _escape(before: str, text: str, at: int, ended: bool) -> int | None:
    r"""In JSON each escape is one character, and `\/` the same as `/`, for which there is a rule."""
    follows = text[at + 1 : at + 2]
    if not follows:
        return 1 if ended else None
    return KILL if follows == "/" else 2


def _unless_space(text: str, at: int, ended: bool) -> int | None:
    follows = text[at + 1 : at + 2]
    if not follows:
        return 1 if ended else None
    return 1 if follows.isspace() else KILL


def _matched(pattern: re.Pattern[str], text: str, at: int) -> str:
    found = pattern.match(text, at)
    return found[0] if found else ""


def _ending(pattern: re.Pattern[str], before: str) -> str:
    """The longest end of `before` whose characters all are of the pattern's class."""
    return _matched(pattern, before[: -_LONGEST_HOST - 1 : -1], 0)[::-1]


def _host(before: str) -> str:
    return _ending(_HOST, before)


def _ends_with_host(before: str) -> bool:
    return before.endswith("//localhost") or _is_host(_host(before))


def _is_host(name: str) -> bool:
    *parts, top = name.split(".")
    return any(parts) and len(top) > 1 and (top.isalpha() or top.startswith("xn--"))
