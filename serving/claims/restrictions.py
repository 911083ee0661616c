"""Whether a sentence holds under the same time, condition or exception as the passage it is taken from."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from serving.claims.lexicon import LIGHT_STEMS
from serving.claims.scopes import Kind, Scope, is_past
from serving.claims.terms import Terms

_ALIKE: frozenset[frozenset[Kind]] = frozenset(
    frozenset(pair) for pair in (("if", "late"), ("if", "during"), ("if", "only"), ("except", "unless"))
)

_TIMES: frozenset[Kind] = frozenset(("early", "late", "during"))


def scope_differs(said: Terms, asked: Terms, theirs: Terms, above: Sequence[Scope]) -> bool:
    """A scope stands on one side only, or another one before the same thing.

    The question may name what a sentence leaves out: "during probation?" is answered by "Two weeks". `above` are the
    scopes of the lead-in that the passage stands under.
    """
    bounds = (*theirs.scopes, *above)
    if not bounds and not said.scopes:
        return False
    if _torn(bounds) and len(said.scopes) < 2:
        return True
    return any(_lost(one, said, asked, theirs) for one in bounds) or any(
        _added(one, said, theirs, bounds) for one in said.scopes
    )


def _torn(bounds: Sequence[Scope]) -> bool:
    """It says one thing for before and another for after: which of them a sentence takes up cannot be told."""
    timed = [one for one in bounds if one.kind in _TIMES]
    return any(one.about & other.about and one.kind != other.kind for one, other in combinations(timed, 2))


def _alike(one: Scope, other: Scope) -> bool:
    return one.kind == other.kind or "only" in (one.kind, other.kind) or frozenset((one.kind, other.kind)) in _ALIKE


def _lost(scope: Scope, said: Terms, asked: Terms, theirs: Terms) -> bool:
    if not scope.about or scope.kind == "past":
        apart = bool(scope.bounds) and scope.bounds.isdisjoint(_words(said))
        kept = any(one.kind == scope.kind for one in said.scopes) or (scope.kind == "past" and is_past(said.bag))
        return not (apart or kept)
    things = _telling(scope, theirs)
    if scope.bounds and scope.bounds.isdisjoint(_words(said)):
        # "If they agree, you may": nothing is said of the "you may", so at most the condition is taken for a fact.
        if any(one.about & things for one in said.scopes):
            return False
        named = not things.isdisjoint(_words(said))
        return named or (scope.needed and not scope.bounds.isdisjoint(asked.words))
    if scope.kind == "only":
        return not _names(said, things, asked)
    for side in (said, asked):
        if same := [one for one in side.scopes if one.about & things and one.kind != "only"]:
            return not any(_alike(one, scope) for one in same)
        if _names(side, things):
            return scope.strict and not side.polarity.negated and not _bounded(side, things)
    return scope.needed and not _squashed(things, asked)


def _telling(scope: Scope, theirs: Terms) -> frozenset[str]:
    """What it is about and the rest of the sentence does not say too."""
    about = scope.about - LIGHT_STEMS
    return frozenset(word for word in about if theirs.words.count(word) <= 1) or about


def _names(side: Terms, things: frozenset[str], other: Terms | None = None) -> bool:
    """More than half of it."""
    words = _words(side) | (_words(other) if other else frozenset())
    named = sum(thing in words or any(map(thing.startswith, _dates(words))) for thing in things)
    return named * 2 > len(things)


def _dates(words: frozenset[str]) -> Iterator[str]:
    """Years and months: they name a day in them."""
    return (word for word in words if len(word) >= 4 and word[:4].isdigit())


def _bounded(side: Terms, things: frozenset[str]) -> bool:
    """ "By 5 May" for "before 5 May"."""
    return any(figure.bound == "<" and figure.value in things for figure in side.figures)


def _words(side: Terms) -> frozenset[str]:
    return frozenset(side.words).union(figure.value for figure in side.figures)


def _squashed(things: frozenset[str], asked: Terms) -> bool:
    """ "How do I fail over?" names a failover."""
    return any(thing.startswith(word) and thing[len(word) :] in asked.bag for thing in things for word in asked.words)


def _added(scope: Scope, said: Terms, theirs: Terms, bounds: Sequence[Scope]) -> bool:
    if not scope.about:
        known = any(one.kind == scope.kind for one in bounds) or bool(theirs.polarity.negated)
        return not (known or (scope.kind == "past" and is_past(theirs.bag)))
    about = scope.about - LIGHT_STEMS
    if scope.kind in ("only", "past"):
        return False
    if same := [one for one in bounds if one.about & about]:
        return not any(_alike(one, scope) for one in same)
    figures = any(figure.value in about for figure in said.figures)
    excludes = bool(theirs.polarity.negated or theirs.polarity.lacking)
    return scope.kind in ("early", "except", "unless") and not (figures or excludes)
