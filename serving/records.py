"""What is kept of one interaction: who asked what, which versions answered from what, how well and at what cost."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asked, by which credential, through which app, and what, as far as digests tell.

    `user` and `conversation` are what an app calls them. `narrowed` is what the caller's filter left. There are digests
    of turns and of a format only where these came with the question.
    """

    subject: str
    credential: str
    app: str | None
    user: str | None
    conversation: str | None
    question_digest: str
    searched_digest: str | None
    history_digest: str | None
    format_digest: str | None
    narrowed: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Said:
    """The words themselves: kept only where that is configured, and redacted then.

    `history` is (role, text) of the turns before the question; `searched_for` where that is not the question;
    `response_format` the JSON of the one that the caller asked for.
    """

    question: str
    history: tuple[tuple[str, str], ...]
    searched_for: str | None
    answer: str | None
    quotes: tuple[str, ...]
    response_format: str | None


@dataclass(frozen=True, slots=True)
class ReadPassage:
    """A passage that was found, with its score at each stage; `rerank` is None where no reranker spoke.

    They stand in the order of their markers; `rank` counts from 1 for the best.
    """

    document: str
    version: str
    start: int
    end: int
    fused: float
    dense: float
    bm25: float
    rerank: float | None
    rank: int


@dataclass(frozen=True, slots=True)
class CitedPlace:
    """A citation without its words: where it is, and how much it supports."""

    marker: int
    document: str
    version: str
    start: int
    end: int
    support: float
    origin: str
    quote_digest: str


@dataclass(frozen=True, slots=True)
class InteractionRecord:
    """One answer, however it ended.

    `assignment` says why each version was drawn. `turns` came before the question; `formatted` when the caller asked
    for a format of its own; `retrieval` "none" when it wanted no documents. `cache` "hit" when the answer was made for
    somebody else. `fallback_for` is the stable model that `model` answered in place of, None where it is the one that
    was drawn. `rewritten_by` says what changed a follow-up's words, "rule" or "model", None where they are the user's;
    `rewrite_failure` why the model did not.

    `outcome` is a verdict's status, or "left" when the client went away and "failed" when a part did.
    `violations` and `stale` count what the two access checks dropped after the index had found it, `collapsed` what
    only repeated another passage; `degraded` when a reranker did not speak in time. `warnings` are the codes of what
    the answer warned of. `confidence` is that of what was found, `threshold` what it was held against, and
    `probability` how likely it holds the answer; they are missing where finding failed, the last one without a
    calibration too.
    Tokens are the engine's own counts, `cost` US dollars, `timings` seconds per stage.
    """

    id: str
    created: datetime
    tenant: str
    asker: Asker
    said: Said
    turns: int
    formatted: bool
    retrieval: str
    cache: str
    max_tokens: int | None
    rewritten_by: str | None
    rewrite_failure: str | None
    index: str
    model: str
    generation: int
    assignment: Mapping[str, str]
    fallback_for: str | None
    outcome: str
    reason: str | None
    confidence: float | None
    threshold: float | None
    probability: float | None
    passages: tuple[ReadPassage, ...]
    cited: tuple[CitedPlace, ...]
    citations: int
    unsupported: int
    markers_removed: int
    violations: int
    stale: int
    collapsed: int
    degraded: bool
    warnings: tuple[str, ...]
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost: float
    timings: Mapping[str, float]


def question_digest(question: str) -> str:
    """What a question is recognised by where its words are not kept."""
    return f"sha256:{hashlib.sha256(question.encode()).hexdigest()}"


def json_digest(value: object) -> str:
    """The same of turns and of a format, however their JSON was written."""
    return question_digest(json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")))
