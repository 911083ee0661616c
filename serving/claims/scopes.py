"""The time, condition or exception under which a sentence says what it says, and whether it denies or ponders it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from serving.claims.figures import Figure
from serving.claims.lexicon import BEING, DETERMINERS, LIGHT_STEMS, PREPOSITIONS, VERBS, stem, word_set
from serving.claims.tokens import Token

Kind = Literal["early", "late", "during", "if", "unless", "except", "only", "denied", "past", "open"]

_WORDS: dict[Kind, frozenset[str]] = {
    "early": word_set("before until till prior vor bis avant jusqu'à"),
    "late": word_set("after from since nach seit après depuis"),
    "during": word_set("during while throughout während pendant on"),
    "if": word_set("if for who when whenever provided case long wenn falls sofern vorausgesetzt si lorsque"),
    "unless": word_set("unless"),
    "except": word_set("except than excluding exception apart ausser ausgenommen sauf hormis"),
    "only": word_set("only solely exclusively nur ausschliesslich uniquement seulement"),
    "denied": word_set(
        "myth misconception rumour rumor fallacy untrue false wrong incorrect irrtum gerücht falsch mythe"
    ),
    "past": word_set("used formerly previously old former früher ehemals damals autrefois in"),
    "open": word_set("whether ob proposed believe believes think assume assumes claim claims plans intends intend"),
}
_KINDS = {word: kind for kind, words in _WORDS.items() for word in words}
_SCOPE_WORDS = frozenset(_KINDS)
_CONDITIONS: frozenset[Kind] = frozenset(("if", "unless", "except", "only"))
_UNTIL = word_set("until till bis jusqu'à")
_SINCE = word_set("since seit depuis")
_FORMER_RULES = word_set("rule rules policy policies contract contracts law laws regulation regulations terms system")
_THAT = word_set("that dass que")
_DAYS = word_set("mondays tuesdays wednesdays thursdays fridays saturdays sundays weekends weekdays workdays holidays")
_COORDINATING = word_set("and but or und aber oder et mais ou")
_ABSENT = word_set("on in at away abroad travelling traveling working driving")
_SENTENCE_ENDS = word_set(". ! ? ;")
# Words that bound something only before or after one of these.
_ONLY_BEFORE = {
    "provided": _THAT,
    "on": _DAYS,
    "while": _ABSENT,
    "plans": word_set("to"),
    "intend": word_set("to"),
    "intends": word_set("to"),
    **dict.fromkeys(("believe", "believes", "think", "assume", "assumes", "claim", "claims"), _THAT),
    "prior": word_set("to"),
    "apart": word_set("from"),
    "long": word_set("as"),
    "used": word_set("to"),
    "exception": word_set("of"),
    "old": _FORMER_RULES,
    "former": _FORMER_RULES,
    "false": _THAT,
    "wrong": _THAT,
    "incorrect": _THAT,
    "falsch": _THAT | {","},
}
_ONLY_AFTER = {"case": word_set("in"), "than": word_set("other"), "long": word_set("as")}
_NOT_BEFORE = {"vor": word_set("ort allem"), "bis": word_set("zu"), "nach": word_set("wie"), "whether": word_set("or")}
_NOT_AFTER = {"if": word_set("even as"), "used": BEING, "who": word_set(", and or"), "nach": word_set("je")}
_PAST_TENSE = frozenset(map(stem, ("had", "was", "were", "did", "hatte", "hatten", "war", "waren", "avait", "était")))
_DATED = word_set("from in")  # these bound only with a date after them
_LONGEST = 4  # content words of "after the first annual safety training"


@dataclass(frozen=True, slots=True)
class Scope:
    """What bounds a statement: `about` are stems and the values of figures, none where it bounds the whole sentence."""

    kind: Kind
    about: frozenset[str]
    needed: bool  # who leaves it out says more; not so "within 10 days after approval"
    bounds: frozenset[str]  # stems and figures of the clause it bounds
    strict: bool  # naming what it is about is not enough: "except Spain"


def read_scopes(tokens: Sequence[Token], folded: frozenset[str], figures: Sequence[Figure]) -> tuple[Scope, ...]:
    """Scopes from left to right; `folded` are the tokens' words. Periods ("within 45 days") are figures' own bounds."""
    if folded.isdisjoint(_SCOPE_WORDS):
        return ()
    past = not _PAST_TENSE.isdisjoint(map(stem, folded))
    return tuple(_scopes(tokens, _values(tokens, figures), past))


def is_past(words: frozenset[str]) -> bool:
    """Among the stems stands a verb in the past tense."""
    return not _PAST_TENSE.isdisjoint(words)


def _values(tokens: Sequence[Token], figures: Sequence[Figure]) -> dict[int, Figure]:
    places = (at for at, token in enumerate(tokens) if token.text[0] == "#")
    return dict(zip(places, figures, strict=False))


def _scopes(tokens: Sequence[Token], values: dict[int, Figure], past: bool) -> Iterator[Scope]:
    for at, token in enumerate(tokens):
        kind = _kind(tokens, at)
        if kind is None:
            continue
        if token.folded in _DATED:
            if (
                (figure := values.get(at + 1))
                and figure.unit != "time"
                and _is_date(figure)
                and (past or kind == "late")
            ):
                yield Scope(kind, frozenset({figure.value}), True, _bounded(tokens, at, values), False)
        elif kind in ("denied", "past", "open"):
            yield Scope(kind, frozenset(), True, frozenset(), True)
        else:
            words, dated = _about(tokens, at, kind, values)
            if words - LIGHT_STEMS:
                strict = kind in ("except", "unless") or token.folded in _UNTIL or (kind == "early" and dated)
                needed = _needed(tokens, at, kind, dated and past)
                yield Scope(kind, words, needed, _bounded(tokens, at, values) - words, strict)


def _about(tokens: Sequence[Token], at: int, kind: Kind, values: dict[int, Figure]) -> tuple[frozenset[str], bool]:
    """What the scope is about, and whether that is a date."""
    if tokens[at].folded == "who":
        following = [token.term for token in takewhile(lambda one: not one.breaks, tokens[at:]) if token.term]
        return frozenset(following[:2]), False
    if kind in ("if", "unless", "only"):
        return _clause(tokens, at, values), False
    leads = at == 0 or tokens[at - 1].text in _SENTENCE_ENDS
    mark = next((token.text for token in tokens[at:] if token.breaks), "")
    if not (leads and mark == ","):
        return _phrase(tokens, at, values)
    dates = {place: figure for place, figure in values.items() if _is_date(figure)}
    others = frozenset(figure.value for figure in values.values()) - {figure.value for figure in dates.values()}
    words = _clause(tokens, at, values) - others
    return words, any(figure.value in words for figure in dates.values())


def _kind(tokens: Sequence[Token], at: int) -> Kind | None:
    word = tokens[at].folded
    if (kind := _KINDS.get(word)) is None:
        return None
    before = tokens[at - 1].folded if at else ""
    after = tokens[at + 1].folded if at + 1 < len(tokens) else ""
    if word == "provided" and before == ",":
        return kind
    if word in _DATED and not after.startswith("#"):
        return None
    if word == "for":
        return kind if _for_whom(tokens, at) else None
    if (word in _ONLY_BEFORE and after not in _ONLY_BEFORE[word]) or before not in _ONLY_AFTER.get(word, {before}):
        return None
    barred = after in _NOT_BEFORE.get(word, ()) or before in _NOT_AFTER.get(word, ())
    return None if barred else kind


def _for_whom(tokens: Sequence[Token], at: int) -> bool:
    """ "For managers, …"; not "for security reasons", nor "kept for 90 days"."""
    if at and tokens[at - 1].text not in _SENTENCE_ENDS:
        return False
    words = list(takewhile(lambda one: not one.breaks, tokens[at:]))
    end = at + len(words)
    return end < len(tokens) and tokens[end].text == "," and not any(one.folded.startswith("reason") for one in words)


def _phrase(tokens: Sequence[Token], at: int, values: dict[int, Figure]) -> tuple[frozenset[str], bool]:
    """Content words up to the end of the noun, or the date; and whether there is a date."""
    words: set[str] = set()
    for place in range(at + 1, len(tokens)):
        token = tokens[place]
        if (figure := values.get(place)) is not None:
            if _is_date(figure):
                return frozenset({*words, figure.value}), True
        elif token.breaks or len(words) == _LONGEST or (words and _ends_noun(token, tokens[place - 1])):
            break
        elif token.term:
            words.add(token.term)
    return frozenset(words), False


def _ends_noun(token: Token, before: Token) -> bool:
    word = token.folded
    if word in ("der", "des"):
        return False  # a genitive: "nach Eingang der Zahlung"
    if word in DETERMINERS:
        return not before.folded.endswith("ing")  # "before entering the room"
    return word in VERBS or word in PREPOSITIONS or word in _SCOPE_WORDS


def _clause(tokens: Sequence[Token], at: int, values: dict[int, Figure]) -> frozenset[str]:
    """Content words and figures up to the next mark or scope; what stands before where nothing stands after."""
    words: set[str] = set()
    only = _KINDS[tokens[at].folded] == "only"
    stops = frozenset(_WORDS) if only else _CONDITIONS
    for place in range(at + 1, len(tokens)):
        if tokens[place].breaks or _kind(tokens, place) in stops:
            break
        figure = values.get(place)
        words |= {tokens[place].term} if figure is None else {figure.value}
    ends = at + 1 == len(tokens) or tokens[at + 1].breaks
    if ends and only:
        words = {token.term for token in takewhile(lambda one: one.term, reversed(tokens[:at]))}
    return frozenset(words - {""})


def _bounded(tokens: Sequence[Token], at: int, values: dict[int, Figure]) -> frozenset[str]:
    """What follows to the end of the sentence where it leads a clause, else what comes before it in its own."""
    before = tokens[at - 1] if at else None
    if before is None or before.breaks or before.folded in _COORDINATING:
        end = next((place for place in range(at, len(tokens)) if tokens[place].text in _SENTENCE_ENDS), len(tokens))
        after = _content(tokens, at + 1, end, values)
        if any(token.text == "," for token in tokens[at:end]) or before is None or before.text != ",":
            return after
    stops = _SENTENCE_ENDS | _COORDINATING
    start = next((place for place in range(at - 1, -1, -1) if tokens[place].folded in stops), -1)
    return _content(tokens, start + 1, at, values)


def _content(tokens: Sequence[Token], start: int, end: int, values: dict[int, Figure]) -> frozenset[str]:
    places = range(start, end)
    return frozenset(values[place].value if place in values else tokens[place].term for place in places) - {""}


def _is_date(figure: Figure) -> bool:
    """A point in time, no period."""
    year = not figure.unit and len(figure.value) == 4 and figure.value[:2] in ("19", "20")
    return year or figure.unit in ("date", "time")


def _needed(tokens: Sequence[Token], at: int, kind: Kind, dated_past: bool) -> bool:
    before = tokens[at - 1].text if at else "."
    word = tokens[at].folded
    if kind == "early" and word not in _UNTIL:
        return dated_past or before in ".!?:;"  # else a deadline: "is approved before booking"
    return kind != "late" or (word not in _SINCE and before[0] != "#")
