"""Whether the evidence holds an answer's sentences, and where: citations that are true, and what nothing holds."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from serving.claims.lexicon import LIGHT_STEMS, REFERRING, VERBS, term, word_set
from serving.claims.passages import Held, Passages
from serving.claims.phrases import abstains, asks_for_a_side, states_nothing
from serving.claims.sentences import split_sentences
from serving.claims.support import Claim
from serving.claims.terms import Terms
from serving.manifest import GroundingRule
from serving.markers import blank_markers, find_markers
from serving.prompt import Evidence

STANDS_ALONE = 3  # content words: what has fewer and no verb says something only together with its question
_YES_OR_NO = re.compile(r"\W*(?:yes|no|yeah|nope|ja|nein|oui|non)\W*", re.IGNORECASE)
_JOINING = word_set("and but while whereas und aber et mais")
_JOINT = re.compile(rf"(?:,|;)?\s+(?:{'|'.join(sorted(_JOINING))})\s+|;\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Citation:
    """A place in a document that supports a part of the answer; all offsets are code points.

    `answer_span` is the model's marker in the answer, or the whole sentence where the citation was attached.
    `start` and `end` are the quote's place in the document version's stored text; `support` is 0 to 1.
    """

    marker: int
    answer_span: tuple[int, int]
    evidence: Evidence
    start: int
    end: int
    quote: str
    quote_digest: str
    support: float
    origin: Literal["model", "attached"]


@dataclass(frozen=True, slots=True)
class Grounding:
    """The verdict on an answer: `unsupported` are the spans of the sentences that no passage supports.

    `supported_share` is that of the sentences which state something, 0 when none does. `abstained` means that the
    answer says it does not know, and nothing else.
    """

    citations: tuple[Citation, ...]
    unsupported: tuple[tuple[int, int], ...]
    supported_share: float
    abstained: bool


def ground(
    answer: str, evidence: Sequence[Evidence], rule: GroundingRule, question: str, *, abstention: str = ""
) -> Grounding:
    """Judge a finished answer against the passages that were in its prompt.

    A model's marker is kept as a citation only where that passage supports the sentence it stands in; else support is
    looked for in all passages and attached. A sentence that only repeats the question is not supported, nor one that
    takes facts of several passages together, unless each of its clauses stands by itself. `abstention` is the prompt
    template's own wording.
    """
    judge = _Judge(answer, Passages(evidence), rule.support, question)
    spans = list(_statements(answer, abstention))
    verdicts = [judge.verdict(start, end) for start, end in spans]
    stated = [(span, held) for span, held in zip(spans, verdicts, strict=True) if held is not None]
    unsupported = tuple(span for span, citations in stated if not citations)
    return Grounding(
        citations=tuple(citation for _, citations in stated for citation in citations),
        unsupported=unsupported,
        supported_share=(len(stated) - len(unsupported)) / len(stated) if stated else 0.0,
        abstained=not stated and _any_abstains(answer, abstention),
    )


def _statements(answer: str, abstention: str) -> Iterator[tuple[int, int]]:
    """Spans of the sentences that state something. A bare yes or no is part of the sentence after it."""
    begin: int | None = None
    spans = split_sentences(answer)
    for position, span in enumerate(spans):
        said = blank_markers(answer[span.start : span.end])
        if _YES_OR_NO.fullmatch(said) and position + 1 < len(spans):
            begin = span.start if begin is None else begin
        elif not (states_nothing(said) or abstains(said, abstention)):
            yield span.start if begin is None else begin, span.end
            begin = None


def _any_abstains(answer: str, abstention: str) -> bool:
    return any(abstains(blank_markers(answer[span.start : span.end]), abstention) for span in split_sentences(answer))


class _Judge:
    """Finds what holds a stretch of one answer."""

    __slots__ = ("_answer", "_asked", "_asked_figures", "_asked_terms", "_passages", "_polar", "_threshold", "_topic")

    def __init__(self, answer: str, passages: Passages, threshold: float, question: str) -> None:
        asked = Terms(question)
        self._answer = answer
        self._passages = passages
        self._threshold = threshold
        self._asked = asked.bag
        self._asked_terms = asked
        self._topic = frozenset(asked.words) - LIGHT_STEMS
        self._asked_figures = frozenset(asked.figures)
        self._polar = asks_for_a_side(question)

    def verdict(self, start: int, end: int) -> tuple[Citation, ...] | None:
        """Citations that hold the sentence, none where nothing does; None for a lead-in that states nothing."""
        claim = self._claim(start, end)
        if not claim.terms.words and not claim.terms.figures:
            return ()
        if self._answer[start:end].rstrip("*_ ").endswith(":") and not (claim.new - LIGHT_STEMS or claim.new_figures):
            return None
        return self._citations(claim, start, end) or self._clause_by_clause(start, end)

    def _claim(self, start: int, end: int) -> Claim:
        terms = self._passages.terms(blank_markers(self._answer[start:end]))
        new = frozenset(terms.words) - self._asked
        new_figures = frozenset(terms.figures) - self._asked_figures
        asserts = bool(new - LIGHT_STEMS or new_figures) or self._polar
        leans_on = (
            self._topic if _is_bare(frozenset(terms.words) - LIGHT_STEMS, self._answer[start:end]) else frozenset()
        )
        return Claim(terms, new, new_figures, self._asked_terms, asserts, leans_on)

    def _citations(self, claim: Claim, start: int, end: int) -> tuple[Citation, ...]:
        named = tuple(self._named(claim, start, end))
        if named:
            return named
        held = self._passages.best(claim, self._threshold)
        return () if held is None else (_cite(held, (start, end), "attached"),)

    def _named(self, claim: Claim, start: int, end: int) -> Iterator[Citation]:
        for marker in find_markers(self._answer[start:end]):
            for number in dict.fromkeys(marker.numbers):
                held = self._passages.best(claim, self._threshold, number)
                if held is not None:
                    yield _cite(held, (start + marker.start, start + marker.end), "model")

    def _clause_by_clause(self, start: int, end: int) -> tuple[Citation, ...]:
        """Citations of each clause, where every clause has its own subject and verb and every one is held."""
        said = self._answer[start:end]
        if ";" not in said and _JOINING.isdisjoint(said.casefold().split()):
            return ()
        cuts = [(start + found.start(), start + found.end()) for found in _JOINT.finditer(said)]
        clauses = list(zip([start, *(cut[1] for cut in cuts)], [*(cut[0] for cut in cuts), end], strict=True))
        if not cuts or not all(_stands_alone(blank_markers(self._answer[a:b])) for a, b in clauses):
            return ()
        held = [self._citations(self._claim(a, b), a, b) for a, b in clauses]
        return tuple(citation for citations in held for citation in citations) if all(held) else ()


def _is_bare(content: frozenset[str], said: str) -> bool:
    """A figure or a heading by itself, as in "The answer is 10" or "2.3 Bicycles"."""
    return not content or (len(content) < STANDS_ALONE and VERBS.isdisjoint(said.casefold().split()))


def _stands_alone(clause: str) -> bool:
    words = clause.casefold().split()
    verb = next((at for at, word in enumerate(words) if word in VERBS), 0)
    return any(term(word) for word in words[:verb]) and words[0] not in REFERRING


def _cite(held: Held, span: tuple[int, int], origin: Literal["model", "attached"]) -> Citation:
    quote = held.evidence.text[held.start : held.end]
    return Citation(
        marker=held.evidence.marker,
        answer_span=span,
        evidence=held.evidence,
        start=held.evidence.start + held.start,
        end=held.evidence.start + held.end,
        quote=quote,
        quote_digest=f"sha256:{hashlib.sha256(quote.encode()).hexdigest()}",
        support=round(held.support, 4),
        origin=origin,
    )
