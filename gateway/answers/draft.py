"""An answer in the making: what has been found, said and measured so far."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import cast

from gateway.answers.events import Confidence, Reason, Reuse, Sources, Usage, Verdict
from gateway.answers.exchange import Asked, Exchange
from gateway.answers.made import Made, unmeasured
from gateway.metering import Tab
from gateway.policy import judge, judge_alone, warnings
from gateway.release import ModelVersion
from retrieval.findings import Findings, Found
from retrieval.store import Narrowing
from serving.citable import Citable
from serving.exchanges import Original
from serving.generator import Finish, Piece
from serving.grounding import Citation, Grounding, ground
from serving.markers import ANY_MARKER, MarkerFilter
from serving.output import OutputCheck, check_of
from serving.prompt import Prompt
from serving.records import Asker, CitedPlace, InteractionRecord, ReadPassage, Said, json_digest, question_digest
from serving.rewrite import Rewritten
from serving.sanitizer import Sanitizer

_DIGITS = 6


@dataclass(slots=True)
class Draft:
    """Takes pieces as they come and gives the words to pass on; it becomes the record however the answer ends."""

    tab: Tab
    findings: Findings | None = None
    confidence: Confidence | None = None
    rewritten: Rewritten = field(default_factory=lambda: Rewritten(""))
    verdict: Verdict | None = None
    usage: Usage | None = None
    failure: str | None = None
    recorded: bool = False
    markers: MarkerFilter = field(default_factory=lambda: MarkerFilter(()))
    sanitizer: Sanitizer = field(default_factory=Sanitizer)
    timings: dict[str, float] = field(default_factory=dict)
    finish: Finish | None = None
    gaps: list[float] = field(default_factory=list)
    fits: bool | None = None
    cache: Reuse = "bypass"
    _said: list[str] = field(default_factory=list)
    _started: float = field(default_factory=time.perf_counter)
    _found: float = 0.0
    _asked: float = 0.0
    _heard: float = 0.0

    def seeks(self, rewritten: Rewritten) -> None:
        """What to search for is decided."""
        self.rewritten = rewritten
        if rewritten.earlier:
            self.timings["rewrite"] = time.perf_counter() - self._started

    def found(self, findings: Findings, confidence: Confidence) -> None:
        """Retrieval is done."""
        self.findings = findings
        self.confidence = confidence
        laps = findings.timings
        self.timings |= {"retrieval": laps["embed"] + laps["search"] + laps["pack"], **laps}
        self._found = time.perf_counter()

    def sources(self) -> Sources:
        """What was found, and for which words where they are not the user's."""
        timings = {**self.timings, "sources": time.perf_counter() - self._started}
        return Sources(self._passages, self._searched_for, self.cache, timings)

    def asks(self, prompt: Prompt, *, structured: bool = False) -> None:
        """The model is about to be asked; only the passages it is shown can be cited, and only their sources linked.

        In a structured answer, which is JSON, `[7]` may be a value.
        """
        self.markers = MarkerFilter(ANY_MARKER if structured else {evidence.marker for evidence in prompt.evidence})
        self.sanitizer = Sanitizer(Citable(prompt.evidence), structured=structured)
        self._asked = time.perf_counter()
        self.timings["prompt"] = self._asked - (self._found or self._started)

    @property
    def asked(self) -> bool:
        """Whether the model has been, or is about to be."""
        return self._asked > 0

    def take(self, piece: Piece) -> str:
        """The words of a piece that can be passed on now, maybe none."""
        if isinstance(piece, Finish):
            self.finish = piece
            self.timings["generation"] = time.perf_counter() - self._asked
            words = self.sanitizer.feed(self.markers.flush()) + self.sanitizer.flush()
        else:
            self._hears(time.perf_counter())
            words = self.sanitizer.feed(self.markers.feed(piece.text))
        if not any(self._said):
            words = words.lstrip()  # models like to begin with a blank
        self._said.append(words)
        return words

    def _hears(self, now: float) -> None:
        if self._heard:
            self.gaps.append(now - self._heard)
        else:
            self.timings["first_token"] = now - self._started
        self._heard = now

    def abstains(self, reason: Reason, words: str) -> Verdict:
        """The verdict before anything is generated."""
        return Verdict("abstained", reason, words, (), (), "stop", warnings(self._passages, ()), self.confidence)

    def check(
        self, prompt: Prompt, model: ModelVersion, response_format: Mapping[str, object] | None = None
    ) -> Verdict:
        """Hold the finished answer against the passages it was made from; without any against its form alone.

        It answers the question as it stands alone: a bare "45 days" has to be said of what a follow-up leaves out.
        """
        question, began = self.rewritten.question, time.perf_counter()
        answer = "".join(self._said)
        manifest = model.manifest
        finish = self.finish.reason if self.finish else "stop"
        checks = _checks(manifest.output_schema, response_format, answer)
        violations = [str(one) for check in checks for one in check.violations(answer)]
        self.fits = not violations if checks else None
        if self.findings is None:
            return Verdict(*judge_alone(violations), answer, (), (), finish)
        original = self.sanitizer.original(answer)  # passages are not sanitized
        abstention = manifest.prompt.abstention
        said = ground(original.text, prompt.evidence, manifest.grounding, question, abstention=abstention)
        grounding = _as_shown(said, original) if self.sanitizer.exchanged else said
        status, reason = judge(grounding, violations, cut=finish == "length")
        told = warnings(self._passages, grounding.citations)
        unsupported = grounding.unsupported
        self.timings["grounding"] = time.perf_counter() - began
        return Verdict(status, reason, answer, grounding.citations, unsupported, finish, told, self.confidence)

    def made(self) -> Made:
        """What it came to, when it is whole."""
        verdict = cast("Verdict", self.verdict)
        pieces = tuple(filter(None, self._said)) or (verdict.answer,)
        found = unmeasured(self.findings)
        return Made(self.rewritten, found, self.confidence, pieces, verdict, self.markers.removed)

    def joins(self, other: "Draft") -> None:
        """What another one found is what this one is made from."""
        self.cache = "hit"
        self.rewritten, self.findings, self.confidence = other.rewritten, unmeasured(other.findings), other.confidence

    def says(self, words: str) -> None:
        """Words that another one gave."""
        self._said.append(words)

    def takes(self, made: Made) -> None:
        """It comes to what was made already."""
        self.cache = "hit"
        self.rewritten, self.findings, self.confidence = made.rewritten, made.findings, made.confidence
        self.verdict, self.markers.removed = made.verdict, made.markers_removed

    def settle(self) -> Usage:
        """What the answer took, and its question's rewriting; nothing else was generated for an abstention."""
        self.timings["total"] = time.perf_counter() - self._started
        used = self.tab.tokens
        return Usage(used.prompt, used.completion, used.cached, self.tab.cost, self.timings)

    def record(self, exchange: Exchange) -> InteractionRecord:
        """What is kept, whether the answer was finished, failed or abandoned by its client."""
        verdict, used = self.verdict, self.usage or self.settle()
        return InteractionRecord(
            id=exchange.id,
            created=exchange.created,
            tenant=exchange.principal.tenant,
            asker=_asker(exchange, self._searched_for),
            said=self._words(exchange.asked),
            turns=len(exchange.asked.history),
            formatted=exchange.asked.response_format is not None,
            retrieval=exchange.asked.retrieval,
            cache=self.cache,
            max_tokens=exchange.asked.max_tokens,
            rewritten_by=self.rewritten.by,
            rewrite_failure=self.rewritten.failure,
            index=exchange.pins.index,
            model=exchange.pins.model,
            generation=exchange.pins.generation,
            assignment={str(axis): reason for axis, reason in exchange.pins.assignment.items()},
            fallback_for=exchange.pins.fallback_for,
            outcome=self._outcome(),
            reason=self.failure or (verdict.reason if verdict else None),
            confidence=self.confidence.value if self.confidence else None,
            threshold=self.confidence.threshold if self.confidence else None,
            probability=self.confidence.probability if self.confidence else None,
            passages=tuple(_place(found) for found in self._passages),
            cited=tuple(_cited(one) for one in verdict.citations) if verdict else (),
            citations=len(verdict.citations) if verdict else 0,
            unsupported=len(verdict.unsupported) if verdict else 0,
            markers_removed=self.markers.removed,
            violations=self.findings.violations if self.findings else 0,
            stale=self.findings.stale if self.findings else 0,
            collapsed=self.findings.collapsed if self.findings else 0,
            degraded=self.findings.degraded if self.findings else False,
            warnings=tuple(notice.code for notice in verdict.warnings) if verdict else (),
            prompt_tokens=used.prompt_tokens,
            completion_tokens=used.completion_tokens,
            cached_tokens=used.cached_tokens,
            cost=used.cost,
            timings=self.timings,
        )

    @property
    def _passages(self) -> tuple[Found, ...]:
        return self.findings.passages if self.findings else ()

    @property
    def _searched_for(self) -> str | None:
        return self.rewritten.question if self.rewritten.by else None

    def _words(self, asked: Asked) -> Said:
        """An answer that was cut off is what had been said by then."""
        answer = self.verdict.answer if self.verdict else "".join(self._said)
        quotes = tuple(one.quote for one in self.verdict.citations) if self.verdict else ()
        formatted = None if asked.response_format is None else json.dumps(asked.response_format, ensure_ascii=False)
        return Said(asked.question, _turns(asked), self._searched_for, answer or None, quotes, formatted)

    def _outcome(self) -> str:
        if self.failure:
            return "failed"
        return self.verdict.status if self.verdict and self.usage else "left"


def _as_shown(said: Grounding, original: Original) -> Grounding:
    """With its spans where they are in the answer as it is shown."""
    citations = tuple(replace(one, answer_span=original.shown(one.answer_span)) for one in said.citations)
    return replace(said, citations=citations, unsupported=tuple(map(original.shown, said.unsupported)))


def _asker(exchange: Exchange, searched_for: str | None) -> Asker:
    asked, caller = exchange.asked, exchange.caller
    return Asker(
        subject=caller.principal.subject,
        credential=caller.credential,
        app=caller.app,
        user=asked.user,
        conversation=asked.conversation,
        question_digest=question_digest(asked.question),
        searched_digest=question_digest(searched_for) if searched_for else None,
        history_digest=json_digest(_turns(asked)) if asked.history else None,
        format_digest=None if asked.response_format is None else json_digest(asked.response_format),
        narrowed=asdict(asked.narrowing) if asked.narrowing != Narrowing() else {},
    )


def _turns(asked: Asked) -> tuple[tuple[str, str], ...]:
    return tuple((turn.role, turn.content) for turn in asked.history)


def _place(found: Found) -> ReadPassage:
    ref = found.passage.ref
    return ReadPassage(
        document=ref.document,
        version=ref.version,
        start=ref.start,
        end=ref.end,
        fused=round(found.score, _DIGITS),
        dense=round(found.cosine, _DIGITS),
        bm25=round(found.bm25, _DIGITS),
        rerank=None if found.rerank is None else round(found.rerank, _DIGITS),
        rank=found.rank,
    )


def _cited(one: Citation) -> CitedPlace:
    read = one.evidence
    return CitedPlace(
        one.marker, read.document, read.version, one.start, one.end, one.support, one.origin, one.quote_digest
    )


def _checks(
    schema: Mapping[str, object] | None, response_format: Mapping[str, object] | None, answer: str
) -> Sequence[OutputCheck]:
    """By the model version's schema and by the client's: it may ask for another form, and for no other rules."""
    asked = check_of(response_format, answer)
    own = [] if schema is None else [OutputCheck(schema)]
    return own if asked is None else [*own, asked]
