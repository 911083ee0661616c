"""What finding gives: passages with what each stage thought of them, and how sure it is that they answer."""

from dataclasses import dataclass

from retrieval.catalog import Passage


@dataclass(frozen=True, slots=True)
class Found:
    """A passage with what each stage thought of it; `rerank` is None where no reranker spoke.

    Where passages repeat each other the newest stands here, with the scores of the best. Where only an earlier question
    of the conversation found it, `cosine` and `bm25` are 0.0. `old` by its category's rule. `rank` counts from 1, the
    best that is shown.
    """

    passage: Passage
    score: float
    cosine: float
    bm25: float
    rerank: float | None
    old: bool = False
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Findings:
    """`confidence` is the highest of what is shown, 0.0 where nothing is; `category` is that passage's.

    Timings are seconds per stage.

    `violations` counts chunks whose own access fields forbid the caller although the store returned them;
    `stale` counts chunks that the catalog dropped (changed, superseded, expired, revoked or gone); `collapsed` counts
    permitted passages that only repeated another one. `degraded` when a reranker should have spoken and did not.
    """

    passages: tuple[Found, ...]
    confidence: float
    timings: dict[str, float]
    violations: int
    stale: int
    degraded: bool
    collapsed: int = 0
    category: str | None = None
