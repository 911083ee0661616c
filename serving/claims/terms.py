"""What one sentence says, as far as its words tell: content, figures, names, polarity and what is said of what."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import dropwhile, pairwise, takewhile

from serving.claims.figures import Figure, Found, find_figures
from serving.claims.lexicon import (
    BEING,
    CONJUNCTIONS,
    DETERMINERS,
    LACKING,
    LIGHT_STEMS,
    MERELY_PERMITTED,
    NEGATING_VERDICTS,
    NEGATION_SCOPE,
    NEGATIONS,
    NOT_A_NEGATION,
    OBLIGED,
    OVERCLAIMS,
    PERMITTED,
    PREPOSITIONS,
    VERBS,
    word_set,
)
from serving.claims.scopes import Scope, read_scopes
from serving.claims.tokens import Token, quick_terms, tokens_of

_POLAR = NEGATIONS | LACKING | NEGATING_VERDICTS
_GERMAN = word_set("der die das den und ist nicht ein eine wird werden f\u00fcr mit")


@dataclass(frozen=True, slots=True)
class Polarity:
    """Content words within reach of a negation, of "without", and outside both."""

    negated: frozenset[str]
    lacking: frozenset[str]
    plain: frozenset[str]


class Terms:
    """One sentence or window, markers taken out beforehand. All words are stems, but `names`, which are case-folded.

    Most of it is worked out when it is first asked for: the first difference rules a window out.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def quick(self) -> frozenset[str]:
        """Content words and plain numbers."""
        return quick_terms(self.text)

    @cached_property
    def figures(self) -> tuple[Figure, ...]:
        return tuple([one.figure for one in self._found])

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Content words in order, figures and their units apart."""
        return tuple([token.term for token in self._tokens if token.term])

    @cached_property
    def bag(self) -> frozenset[str]:
        """All words."""
        return self.quick.union([token.stem for token in self._tokens])

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(_names(self._tokens))

    @cached_property
    def polarity(self) -> Polarity:
        return _polarity(self.text, self._folded, self.quick)

    @cached_property
    def subject(self) -> frozenset[str]:
        """Content words before the first verb that is known as one, else the first."""
        return _subject(self._clauses)

    @cached_property
    def predicates(self) -> frozenset[str]:
        """Content words right after a form of "to be"."""
        return frozenset() if BEING.isdisjoint(self._folded) else frozenset(_predicates(self._tokens))

    @cached_property
    def things(self) -> tuple[frozenset[str], ...]:
        """Content words after each article."""
        return () if DETERMINERS.isdisjoint(self._folded) else tuple(_things(self._tokens))

    @cached_property
    def modifiers(self) -> frozenset[tuple[str, str]]:
        """Content words side by side."""
        return frozenset((a.term, b.term) for a, b in pairwise(self._tokens) if a.term and b.term)

    @cached_property
    def slots(self) -> tuple[tuple[str, str, frozenset[str]], ...]:
        """Content word, preposition, what follows it."""
        return tuple(_slots(self._tokens))

    @cached_property
    def clauses(self) -> tuple[frozenset[str], ...]:
        """Content words and figures of each."""
        return tuple(_said(self._clauses, self.figures))

    @cached_property
    def scopes(self) -> tuple[Scope, ...]:
        return read_scopes(self._tokens, self._folded, self.figures)

    @property
    def obliged(self) -> bool:
        return not OBLIGED.isdisjoint(self._folded)

    @property
    def permitted(self) -> bool:
        return not PERMITTED.isdisjoint(self._folded)

    @property
    def merely_permitted(self) -> bool:
        return not MERELY_PERMITTED.isdisjoint(self._folded)

    @property
    def overclaims(self) -> bool:
        return not OVERCLAIMS.isdisjoint(self._folded)

    @cached_property
    def _found(self) -> tuple[Found, ...]:
        return find_figures(self.text)

    @cached_property
    def _tokens(self) -> list[Token]:
        return tokens_of(_without(self._found, self.text))

    @cached_property
    def _folded(self) -> frozenset[str]:
        return frozenset([token.folded for token in self._tokens])

    @cached_property
    def _clauses(self) -> list[list[Token]]:
        return list(_by_clause(self._tokens))


def _without(found: Sequence[Found], text: str) -> str:
    """The text with a run of "#" in place of each figure."""
    for one in found:
        text = f"{text[: one.start]}{'#' * (one.end - one.start)}{text[one.end :]}"
    return text


def _names(tokens: Sequence[Token]) -> Iterator[str]:
    """Words written like names: with a capital where no sentence begins, or in capitals. German nouns are none."""
    german = len(_GERMAN.intersection(token.folded for token in tokens)) >= 2
    for before, token in zip((None, *tokens), tokens, strict=False):
        if not token.term or len(token.text) < 2:
            continue
        inside = before is not None and before.text[0] not in ".!?:;|("
        if token.shouted or (inside and token.text[0].isupper() and not german):
            yield token.folded


def _polarity(text: str, folded: frozenset[str], quick: frozenset[str]) -> Polarity:
    if folded.isdisjoint(_POLAR) and "n't" not in text and "n\u2019t" not in text:
        return Polarity(frozenset(), frozenset(), quick)
    text = NOT_A_NEGATION.sub(" ", text)
    negated: set[str] = set()
    lacking: set[str] = set()
    plain: set[str] = set()
    for clause in _by_clause(tokens_of(text)):
        verdict = any(token.folded in NEGATING_VERDICTS for token in clause)
        reach, into = 0, negated
        for token in clause:
            if token.folded in NEGATIONS or token.folded.endswith(("n't", "n\u2019t")):
                reach, into = NEGATION_SCOPE, negated
            elif token.folded in LACKING:
                reach, into = NEGATION_SCOPE, lacking
            elif token.term:
                (into if reach else negated if verdict else plain).add(token.term)
                reach -= reach > 0
    return Polarity(frozenset(negated), frozenset(lacking), frozenset(plain))


def _subject(parts: Sequence[Sequence[Token]]) -> frozenset[str]:
    clauses = [clause for clause in parts if any(token.term for token in clause)]
    first = clauses[0] if clauses else []
    clause = next((one for one in clauses if any(token.folded in VERBS for token in one)), first)
    verb = next((at for at, token in enumerate(clause) if token.folded in VERBS), None)
    before = [token.term for token in clause[:verb] if token.term]
    return frozenset(before if verb is not None else before[:1])


def _predicates(tokens: Sequence[Token]) -> Iterator[str]:
    for position, token in enumerate(tokens):
        if token.folded in BEING:
            following = dropwhile(lambda one: not (one.term or one.breaks), tokens[position + 1 :])
            if (after := next(following, None)) is not None and after.term:
                yield after.term


def _things(tokens: Sequence[Token]) -> Iterator[frozenset[str]]:
    for position, token in enumerate(tokens):
        if token.folded in DETERMINERS:
            after = takewhile(lambda one: one.term, tokens[position + 1 :])
            if thing := frozenset(one.term for one in after) - LIGHT_STEMS:
                yield thing


def _by_clause(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    clause: list[Token] = []
    for token in tokens:
        if token.breaks or token.folded in CONJUNCTIONS:
            yield clause
            clause = []
        else:
            clause.append(token)
    yield clause


def _said(clauses: Sequence[Sequence[Token]], figures: Sequence[Figure]) -> Iterator[frozenset[str]]:
    left = iter(figures)
    for clause in clauses:
        said = {token.term for token in clause if token.term}
        for token in clause:
            if token.text[0] == "#":
                figure = next(left, None)
                said |= {figure.value, figure.unit} - {""} if figure else set()
        if said:
            yield frozenset(said)


def _slots(tokens: Sequence[Token]) -> Iterator[tuple[str, str, frozenset[str]]]:
    for position, token in enumerate(tokens):
        if token.folded not in PREPOSITIONS or position == 0 or not tokens[position - 1].term:
            continue
        following = tokens[position + 1 : position + 5]
        start = next((at for at, one in enumerate(following) if one.term or one.breaks), len(following))
        objects: set[str] = set()
        for one in following[start:]:
            if not one.term:
                break
            objects.add(one.term)
        if objects - LIGHT_STEMS:
            yield tokens[position - 1].term, token.folded, frozenset(objects)
