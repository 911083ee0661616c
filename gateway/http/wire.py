"""The two wire shapes of an answer: our own, and OpenAI's chat completion with ours under `twinpin`."""

import re
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote

from gateway.answers.events import AnswerEvent, Confidence, Delta, Sources, Usage, Verdict
from gateway.answers.exchange import Exchange
from gateway.errors import GatewayError
from gateway.streaming import encode, sse
from retrieval.findings import Found
from serving.grounding import Citation


@dataclass(frozen=True, slots=True)
class NativeWire:
    """`/v1/answer`: named events, or one object of kind `answer`."""

    exchange: Exchange

    def body(self, sources: Sources, verdict: Verdict, usage: Usage) -> dict[str, Any]:
        """The whole answer."""
        return {
            **_about(self.exchange),
            "searched_for": sources.searched_for,
            "answer": verdict.answer,
            **_verdict(verdict),
            **_usage(usage),
            "cache": sources.cache,
        }

    def head(self) -> bytes:
        """The first event says enough."""
        return b""

    def event(self, event: AnswerEvent) -> bytes:
        """`sources`, `delta`, `verdict` or `usage`."""
        match event:
            case Delta(text):
                return sse("delta", {"text": text})
            case Sources(passages, searched_for, cache):
                about = {**_about(self.exchange), "searched_for": searched_for, "cache": cache}
                return sse("sources", {**about, "passages": [passage(one) for one in passages]})
            case Verdict():
                return sse("verdict", _verdict(event))
            case Usage():
                return sse("usage", _usage(event))

    def done(self) -> bytes:
        """The end of an answer that did not fail."""
        return sse("done", {})

    def failure(self, error: GatewayError, request_id: str) -> bytes:
        """The end of one that did."""
        return sse("error", error.body(request_id))


@dataclass(slots=True)
class OpenAIWire:
    """`/v1/chat/completions`, streamed or not; citations are `url_citation` annotations."""

    exchange: Exchange
    model: str
    include_usage: bool
    ignored: list[str]
    _verdict: Verdict | None = field(default=None)
    _sources: Sources = field(default=Sources(()))

    def body(self, sources: Sources, verdict: Verdict, usage: Usage) -> dict[str, Any]:
        """A `chat.completion`."""
        message = {
            "role": "assistant",
            "content": verdict.answer,
            "refusal": None,
            "annotations": _annotations(verdict),
        }
        choice = {"index": 0, "message": message, "finish_reason": verdict.finish, "logprobs": None}
        self._sources = sources
        shape = self._shape("chat.completion", [choice])
        return {**shape, "usage": _openai_usage(usage), "twinpin": self._twinpin(verdict, usage)}

    def head(self) -> bytes:
        """OpenAI's first chunk names the role."""
        return self._chunk({"role": "assistant", "content": ""})

    def event(self, event: AnswerEvent) -> bytes:
        """Chunks; citations are in the last delta, usage in a chunk without choices when it was asked for."""
        match event:
            case Delta(text):
                return self._chunk({"content": text})
            case Sources():
                self._sources = event
                return b""
            case Verdict():
                self._verdict = event
                return self._chunk({"annotations": _annotations(event)})
            case Usage():
                return self._ending(event)

    def done(self) -> bytes:
        """OpenAI's end of a stream that did not fail."""
        return b"data: [DONE]\n\n"

    def failure(self, error: GatewayError, request_id: str) -> bytes:
        """An error object and no `[DONE]`."""
        return _data(error.body(request_id))

    def _ending(self, usage: Usage) -> bytes:
        verdict = cast("Verdict", self._verdict)  # an answer's verdict comes before its usage
        last = self._chunk({}, verdict.finish, twinpin=self._twinpin(verdict, usage))
        if not self.include_usage:
            return last
        return last + _data({**self._shape("chat.completion.chunk", []), "usage": _openai_usage(usage)})

    def _chunk(self, delta: dict[str, Any], finish: str | None = None, **extra: object) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        unknown = {"usage": None} if self.include_usage else {}
        return _data({**self._shape("chat.completion.chunk", [choice]), **unknown, **extra})

    def _shape(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        created = int(self.exchange.created.timestamp())
        return {"id": self.exchange.id, "object": kind, "created": created, "model": self.model, "choices": choices}

    def _twinpin(self, verdict: Verdict, usage: Usage) -> dict[str, Any]:
        shown = {**_about(self.exchange), **_verdict(verdict), **_usage(usage), "cache": self._sources.cache}
        return {**shown, "searched_for": self._sources.searched_for, "ignored": self.ignored}


def passage(found: Found) -> dict[str, Any]:
    """A passage as `/v1/search` and the `sources` event show it, with what each stage thought of it."""
    ref, shown = found.passage.ref, found.passage
    return {
        "document": ref.document,
        "version": ref.version,
        "title": shown.title,
        "source": location(shown.source, ref.heading, ref.page),
        "page": ref.page,
        "heading": list(ref.heading),
        "category": shown.category,
        "updated": shown.updated,
        "old": found.old,
        "span": [ref.start, ref.end],
        "text": shown.text,
        "scores": {"fused": found.score, "dense": found.cosine, "bm25": found.bm25, "rerank": found.rerank},
    }


def location(source: str, heading: tuple[str, ...], page: int | None) -> str:
    """Where a reader should open the source: a page of a PDF, or the anchor of its nearest heading; a URL.

    A source that names a place in the document itself is left as it is.
    """
    if "#" in source:
        return source
    if page is not None:
        return f"{source}#page={page}"
    anchor = re.sub(r"[^\w]+", "-", heading[-1].lower()).strip("-") if heading else ""
    return f"{source}#{quote(anchor)}" if anchor else source


def _about(exchange: Exchange) -> dict[str, Any]:
    pins = exchange.pins
    versions = {"index": pins.index, "model": pins.model, "generation": pins.generation}
    return {
        "id": exchange.id,
        "object": "answer",
        "created": exchange.created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "versions": {**versions, "assignment": pins.assignment, "fallback_for": pins.fallback_for},
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "status": verdict.status,
        "finish": verdict.finish,
        "reason": verdict.reason,
        "citations": [_citation(one) for one in verdict.citations],
        "unsupported": verdict.unsupported,
        "warnings": verdict.warnings,
        "confidence": _confidence(verdict.confidence),
    }


def _confidence(confidence: Confidence | None) -> dict[str, float | None] | None:
    if confidence is None:
        return None
    probability = None if confidence.probability is None else round(confidence.probability, 4)
    return {"value": round(confidence.value, 4), "threshold": confidence.threshold, "probability": probability}


def _citation(citation: Citation) -> dict[str, Any]:
    evidence, place = citation.evidence, citation.evidence.place(citation.start)
    return {
        "marker": citation.marker,
        "answer_span": citation.answer_span,
        "origin": citation.origin,
        "document": evidence.document,
        "version": evidence.version,
        "title": evidence.title,
        "source": location(evidence.source, place.heading, place.page),
        "page": place.page,
        "heading": place.heading,
        "span": (citation.start, citation.end),
        "quote": citation.quote,
        "quote_digest": citation.quote_digest,
        "support": round(citation.support, 3),
    }


def _usage(usage: Usage) -> dict[str, Any]:
    tokens = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
    return {
        "usage": {**tokens, "cached_tokens": usage.cached_tokens, "cost": usage.cost},
        "timings": {stage: round(seconds, 4) for stage, seconds in usage.timings.items()},
    }


def _openai_usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def _annotations(verdict: Verdict) -> list[dict[str, Any]]:
    return [_annotation(citation) for citation in verdict.citations]


def _annotation(citation: Citation) -> dict[str, Any]:
    shown = {
        "start_index": citation.answer_span[0],
        "end_index": citation.answer_span[1],
        "title": citation.evidence.title,
        "url": _citation(citation)["source"],
    }
    return {"type": "url_citation", "url_citation": shown}


def _data(value: object) -> bytes:
    return b"data: %b\n\n" % encode(value)
