"""What one sentence says, as far as its words tell: content, figures, names, polarity and what is said of what."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile, pairwise, takewhile

from serving.claims.figures import Figure, find_figures
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
    NUMBER_WORDS,
    OBLIGED,
    OVERCLAIMS,
    PERMITTED,
    PREPOSITIONS,
    VERBS,
    stem,
    term,
    word_set,
)
from serving.claims.scopes import Scope, read_scopes
from serving.claims.tokens import Token, tokens_of

_RAW = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*|\d+(?:[.,]\d+)*")
_POLAR = NEGATIONS | LACKING | NEGATING_VERDICTS
_NUMBERS = frozenset(NUMBER_WORDS)
_GERMAN = word_set("der die das den und ist nicht ein eine wird werden f\u00fcr mit")


@dataclass(frozen=True, slots=True)
class Polarity:
    """Content words within reach of a negation, of "without", and outside both."""

    negated: frozenset[str]
    lacking: frozenset[str]
    plain: frozenset[str]


@dataclass(frozen=True, slots=True)
class Terms:
    """One sentence or window. All words are stems, but `names`, which are case-folded words."""

    words: tuple[str, ...]  # content words in order, figures and their units apart
    bag: frozenset[str]  # all words
    figures: tuple[Figure, ...]
    names: frozenset[str]
    polarity: Polarity
    subject: frozenset[str]  # content words before the first verb that is known as one, else the first
    predicates: frozenset[str]  # content words right after a form of "to be"
    things: tuple[frozenset[str], ...]  # content words after each article
    modifiers: frozenset[tuple[str, str]]  # content words side by side
    slots: tuple[tuple[str, str, frozenset[str]], ...]  # content word, preposition, what follows it
    clauses: tuple[frozenset[str], ...]  # content words and figures of each
    obliged: bool
    permitted: bool
    merely_permitted: bool
    overclaims: bool
    scopes: tuple[Scope, ...]


def quick_terms(text: str) -> frozenset[str]:
    """Content words and plain numbers: enough to find the windows worth reading."""
    raw = _RAW.findall(text.casefold())
    found = frozenset(map(term, raw)) - {""}
    return found if _NUMBERS.isdisjoint(raw) else found.union(NUMBER_WORDS[w] for w in _NUMBERS.intersection(raw))


def read_terms(text: str) -> Terms:
    """Read one sentence, markers taken out beforehand."""
    found = find_figures(text)
    rest = list(text)
    for one in found:
        rest[one.start : one.end] = "#" * (one.end - one.start)
    tokens = list(tokens_of("".join(rest)))
    folded = frozenset(token.folded for token in tokens)
    quick = quick_terms(text)
    words = tuple(token.term for token in tokens if token.term)
    figures = tuple(one.figure for one in found)
    return Terms(
        words=words,
        bag=frozenset(map(stem, folded)) | quick,
        figures=figures,
        names=frozenset(_names(tokens)),
        polarity=_polarity(text, folded, quick),
        subject=_subject(tokens),
        predicates=frozenset(_predicates(tokens)),
        things=tuple(_things(tokens)),
        modifiers=frozenset((a.term, b.term) for a, b in pairwise(tokens) if a.term and b.term),
        slots=tuple(_slots(tokens)),
        clauses=tuple(_clauses(tokens, figures)),
        obliged=not OBLIGED.isdisjoint(folded),
        permitted=not PERMITTED.isdisjoint(folded),
        merely_permitted=not MERELY_PERMITTED.isdisjoint(folded),
        overclaims=not OVERCLAIMS.isdisjoint(folded),
        scopes=read_scopes(tokens, folded, figures),
    )


def _names(tokens: Sequence[Token]) -> Iterator[str]:
    """Words written like names: with a capital where no sentence begins, or in capitals. German nouns are none."""
    german = len(_GERMAN.intersection(token.folded for token in tokens)) >= 2
    for before, token in zip((None, *tokens), tokens, strict=False):
        if not token.term or len(token.text) < 2:
            continue
        shouted = token.text.isupper() or token.text[1:] != token.folded[1:]
        inside = before is not None and before.text[0] not in ".!?:;|("
        if shouted or (inside and token.text[0].isupper() and not german):
            yield token.folded


def _polarity(text: str, folded: frozenset[str], quick: frozenset[str]) -> Polarity:
    if folded.isdisjoint(_POLAR) and "n't" not in text and "n\u2019t" not in text:
        return Polarity(frozenset(), frozenset(), quick)
    text = NOT_A_NEGATION.sub(" ", text)
    negated: set[str] = set()
    lacking: set[str] = set()
    plain: set[str] = set()
    for clause in _by_clause(list(tokens_of(text))):
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


def _subject(tokens: Sequence[Token]) -> frozenset[str]:
    clauses = [clause for clause in _by_clause(tokens) if any(token.term for token in clause)]
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


def _clauses(tokens: Sequence[Token], figures: Sequence[Figure]) -> Iterator[frozenset[str]]:
    left = iter(figures)
    for clause in _by_clause(tokens):
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
