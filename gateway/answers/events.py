"""What an answer is made of: one stream of events inside, whatever the wire."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from retrieval.findings import Found
from serving.grounding import Citation

Status = Literal["answered", "abstained", "review"]
Reason = Literal["no_hits", "below_threshold", "ungrounded", "policy", "not_retrieved"]
Reuse = Literal["hit", "miss", "bypass"]
"""Whether somebody was given an answer that was made for others, one made for them, or one that is for them alone."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The passages found, best first unless the model version has them otherwise; a citation's marker n is the n-th.

    `searched_for` is the question that they were found for, None where that is the user's own. `timings` are the
    seconds that it took until here, per stage and altogether.
    """

    passages: tuple[Found, ...]
    searched_for: str | None = None
    cache: Reuse = "bypass"
    timings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the answer's text; what has been said is never replaced."""

    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What a reader should know about an answer beyond its verdict: here that its best evidence is old."""

    code: Literal["old_evidence"]
    document: str
    updated: date
    message: str


@dataclass(frozen=True, slots=True)
class Confidence:
    """How much what was found looks like evidence, and from what on it is enough; its meaning is the index version's.

    `probability` that the answer is in it, were half of all questions answerable: of calibrated versions alone.
    """

    value: float
    threshold: float
    probability: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the answer is worth. Spans are code points of `answer`, the concatenation of all deltas."""

    status: Status
    reason: Reason | None
    answer: str
    citations: tuple[Citation, ...]
    unsupported: tuple[tuple[int, int], ...]
    finish: Literal["stop", "length"]
    warnings: tuple[Notice, ...] = ()
    confidence: Confidence | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What it took: the engine's own token counts, US dollars, seconds per stage."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost: float
    timings: dict[str, float]


AnswerEvent = Sources | Delta | Verdict | Usage
