"""What is kept of one interaction: enough to say which versions answered, from what, how well and at what cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class InteractionRecord:
    """One answer, however it ended. The question is kept as a digest only, and so is what was searched for instead.

    `rewritten_by` says what changed a follow-up's words, "rule" or "model", None where they are the user's;
    `rewrite_failure` why the model did not.

    `outcome` is a verdict's status, or "left" when the client went away and "failed" when a part did.
    `violations` and `stale` count what the two access checks dropped after the index had found it, `collapsed` what
    only repeated another passage; `degraded` when a reranker did not speak in time. `warnings` are the codes of what
    the answer warned of. `confidence` is that of what was found, and `threshold` what it was held against; both are
    missing where finding failed.
    `passages` are (document, version, start, end, cosine); tokens are the engine's own counts, `cost` US dollars,
    `timings` seconds per stage.
    """

    id: str
    created: datetime
    tenant: str
    subject: str
    conversation: str | None
    user: str | None
    question_digest: str
    searched_digest: str | None
    rewritten_by: str | None
    rewrite_failure: str | None
    index: str
    model: str
    generation: int
    outcome: str
    reason: str | None
    confidence: float | None
    threshold: float | None
    passages: tuple[tuple[str, str, int, int, float], ...]
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
