"""How far a window of a passage says what a sentence says: a lexical measure, and the differences that rule it out.

The measure is the share of the sentence's content, by rarity in the evidence, that the window holds. A window that
differs in a figure, a name, a negation, an opposite, an obligation, a scope, or in what is said of what, supports
nothing, however many words agree. It prefers to miss support over inventing it.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import permutations

from serving.claims.figures import Figure, find_figures, readings
from serving.claims.lexicon import LIGHT_STEMS, OVERCLAIMS, UNITS, opposites, stem
from serving.claims.restrictions import scope_differs
from serving.claims.terms import Terms
from serving.claims.tokens import quick_terms

LIGHT_WEIGHT = 0.35
ANSWERS_FROM = 1 / 3  # the share of the question's words that stand where a bare "45 days" may be taken from
LONGEST_INVENTION = 2  # content words in a row that a paraphrase may have of its own
_BRACKETS = str.maketrans("()", "  ")
_OVERCLAIMS = frozenset(map(stem, OVERCLAIMS))


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence to be supported: what it says, and which of that the question had not said already."""

    terms: Terms
    new: frozenset[str]
    new_figures: frozenset[Figure]
    asked: Terms
    asserts: bool  # it adds something to the question, or takes a side where that was asked
    leans_on: frozenset[str] = frozenset()  # the question's words, where the sentence says too little to stand alone


class Above:
    """What the texts say that a window stands under: title, headings, table header, list lead-in."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self.scopes = tuple(scope for text in texts if text.endswith(":") for scope in Terms(text).scopes)

    @cached_property
    def words(self) -> frozenset[str]:
        words = frozenset(stem(word) for text in self._texts for word in text.casefold().split())
        return words.union(*map(quick_terms, self._texts))

    @cached_property
    def figures(self) -> tuple[Figure, ...]:
        return tuple(found.figure for text in self._texts if not text.endswith("?") for found in find_figures(text))

    @cached_property
    def units(self) -> frozenset[str]:
        """Units that are named without a number."""
        words = "\n".join(self._texts).casefold().translate(_BRACKETS).split()
        return frozenset(UNITS[word] for word in words if word in UNITS)


@dataclass(frozen=True)
class Window:
    """A quotable stretch of a passage."""

    terms: Terms
    above: Above

    @cached_property
    def known(self) -> frozenset[str]:
        return self.terms.bag | self.above.words


def rarity(documents: Mapping[str, int], units: int) -> Callable[[str], float]:
    """The weight of a word, given in how many of `units` sentences of the evidence each stands."""

    @cache
    def weight(word: str) -> float:
        plain = math.log1p((units + 1) / (documents.get(word, 0) + 0.5))
        return plain * LIGHT_WEIGHT if word in LIGHT_STEMS else plain

    return weight


def support(claim: Claim, window: Window, weight: Callable[[str], float]) -> float:
    """0 to 1; 0 as soon as one difference rules it out."""
    if claim.leans_on and len(claim.leans_on & window.known) < len(claim.leans_on) * ANSWERS_FROM:
        return 0.0
    said, scopes = claim.terms, window.above.scopes
    if not claim.asserts:
        return 0.0
    if said is window.terms and not scopes:
        return 1.0  # word for word: nothing that follows can tell a sentence from itself
    if any(differs(said, window) for differs in DIFFERENCES) or scope_differs(said, claim.asked, window.terms, scopes):
        return 0.0
    everything = _share(frozenset(said.words), said.figures, window, weight)
    if not (claim.new or claim.new_figures):
        return everything
    return min(everything, _share(claim.new, claim.new_figures, window, weight))


def _share(words: frozenset[str], figures: Iterable[Figure], window: Window, weight: Callable[[str], float]) -> float:
    known = window.known
    held = sum(weight(figure.value) for figure in figures)
    total = held + sum(map(weight, words))
    return (held + sum(weight(word) for word in words if word in known)) / total if total else 0.0


def _figures_differ(said: Terms, window: Window) -> bool:
    if not said.figures:
        return False
    theirs = [reading for figure in (*window.terms.figures, *window.above.figures) for reading in readings(figure)]
    return not all(any(_same(figure, other, window) for other in theirs) for figure in said.figures)


def _same(figure: Figure, other: Figure, window: Window) -> bool:
    if figure.value != other.value or (figure.bound and other.bound and figure.bound != other.bound):
        return False
    return figure.unit in ("", other.unit) or (not other.unit and figure.unit in window.above.units)


def _names_differ(said: Terms, window: Window) -> bool:
    missing = [name for name in said.names if name not in window.known and stem(name) not in window.known]
    return bool(missing)


def _polarity_differs(said: Terms, window: Window) -> bool:
    ours, theirs = said.polarity, window.terms.polarity
    if ours.lacking & theirs.plain - theirs.lacking or theirs.lacking & ours.plain - theirs.plain:
        return True
    if ours.negated:
        return ours.negated.isdisjoint(theirs.negated)
    return any(word in theirs.negated and word not in theirs.plain for word in ours.plain)


def _opposite(said: Terms, window: Window) -> bool:
    known = window.known
    missing = said.bag - known
    return any(not opposites(word).isdisjoint(known - said.bag) for word in missing)


def _obligation_differs(said: Terms, window: Window) -> bool:
    theirs = window.terms
    if said.obliged and not said.permitted:
        return theirs.permitted and not theirs.obliged
    return said.merely_permitted and not said.obliged and theirs.obliged and not theirs.permitted


def _overclaims(said: Terms, window: Window) -> bool:
    return said.overclaims and (_OVERCLAIMS & said.bag).isdisjoint(window.known)


def _swapped(said: Terms, window: Window) -> bool:
    """Another word stands before the same noun, after the same preposition or as the predicate; or roles are turned."""
    return any(swap(said, window) for swap in (_modifier_swapped, _slot_swapped, _predicate_swapped, _roles_swapped))


def _stranger(said: Terms, window: Window) -> bool:
    """It speaks of somebody or something that the window does not know."""
    known = window.known | LIGHT_STEMS
    return not said.subject <= known or any(thing.isdisjoint(known) for thing in said.things)


def _modifier_swapped(said: Terms, window: Window) -> bool:
    words = frozenset(said.words)
    for modifier, head in said.modifiers:
        if modifier in window.terms.bag or modifier in LIGHT_STEMS or head not in window.terms.bag:
            continue
        if any(head == theirs and other not in words for other, theirs in window.terms.modifiers):
            return True
    return False


def _slot_swapped(said: Terms, window: Window) -> bool:
    known = window.known
    for head, preposition, objects in said.slots:
        theirs = [slot[2] for slot in window.terms.slots if slot[:2] == (head, preposition)]
        if theirs and objects.isdisjoint(known) and all(objects.isdisjoint(other) for other in theirs):
            return True
    return False


def _predicate_swapped(said: Terms, window: Window) -> bool:
    if said.polarity.negated and window.terms.polarity.negated:
        return False  # "not covered" is "excluded"
    other = window.terms.predicates - frozenset(said.words)
    return bool(other) and not said.predicates <= window.known | LIGHT_STEMS


def _roles_swapped(said: Terms, window: Window) -> bool:
    """Who does it and to whom it is done are exchanged, and neither of the two is in the passive."""
    bounds = frozenset[str]().union(*(scope.about for scope in window.terms.scopes))
    ours, theirs = said.subject, window.terms.subject - bounds
    turned = bool(ours and theirs) and ours.isdisjoint(theirs) and theirs <= frozenset(said.words)
    in_one_clause = any(ours | theirs <= clause for clause in window.terms.clauses)
    return turned and in_one_clause and ("by" in said.bag) == ("by" in window.terms.bag)


def _mixed(said: Terms, window: Window) -> bool:
    """It takes the subject of one clause and the rest of another that is parallel, or has a subject of its own."""
    held = frozenset(said.words) | _figure_parts(said.figures)
    for one, other in permutations(window.terms.clauses, 2):
        here, there = one - other, other - one
        if not all((here & held, there & held, here - held, there - held)):
            continue
        if one & other or (len(said.clauses) == 1 and said.subject <= here):
            return True
    return False


def _invents(said: Terms, window: Window) -> bool:
    """A run of words, or a whole clause, that the window knows nothing of."""
    known = window.known | LIGHT_STEMS
    run = 0
    for word in said.words:
        run = 0 if word in known else run + 1
        if run > LONGEST_INVENTION:
            return True
    whole = (clause - LIGHT_STEMS - _figure_parts(said.figures) for clause in said.clauses)
    return any(len(clause) >= 2 and clause.isdisjoint(known) for clause in whole)


def _figure_parts(figures: Sequence[Figure]) -> frozenset[str]:
    return frozenset(part for figure in figures for part in (figure.value, figure.unit))


DIFFERENCES: tuple[Callable[[Terms, Window], bool], ...] = (
    _figures_differ,
    _names_differ,
    _polarity_differs,
    _opposite,
    _obligation_differs,
    _overclaims,
    _swapped,
    _stranger,
    _mixed,
    _invents,
)
