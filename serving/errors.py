"""The errors of the serving package, one class per meaning.

ServingError
├── GenerationError           no (complete) answer came from the engine
│   ├── EngineUnavailable     reset, failing or out of order: try later or elsewhere (`retry_after`)
│   │   ├── EngineGone        nobody listens there, or nobody takes the connection in time
│   │   └── EngineBusy        503 or 429: it is well, and its queue is full
│   ├── EngineRefused         4xx: the engine does not take this request (`status`, `detail`)
│   ├── EngineAborted         the engine gave up, or its stream ended or broke before a finish
│   ├── WrongModel            the answer names another model than the one asked for
│   └── GenerationTimeout     the engine was asked, and one of three timeouts passed (`phase`)
├── PromptTooLong             question and one passage do not fit the model's context
├── SchemaError               what an answer should fit is no JSON schema that can be checked
└── ManifestError             a model manifest that does not fit
"""

from typing import Literal

TimeoutPhase = Literal["first_piece", "between_pieces", "total"]


class ServingError(Exception):
    """Anything the serving package raises on purpose."""


class GenerationError(ServingError):
    """The engine gave no complete answer."""


class EngineUnavailable(GenerationError):
    """The engine cannot be reached or takes no more work now; `retry_after` is in seconds, None when it did not say."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EngineGone(EngineUnavailable):
    """Nobody listens where the engine should, or takes the connection in time."""


class EngineBusy(EngineUnavailable):
    """The engine is well and takes no more work now."""


class EngineRefused(GenerationError):
    """The engine does not take this request; `detail` is its own message, for logs only, and not part of `str()`."""

    def __init__(self, message: str, *, status: int, detail: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail


class EngineAborted(GenerationError):
    """The engine gave up on the request, or its stream ended before a finish; `detail` is for logs only."""

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class WrongModel(GenerationError):
    """The response names another model than the one asked for."""

    def __init__(self, asked: str, answered: str) -> None:
        super().__init__(f"asked for model {asked!r}, the engine answered as {answered!r}")
        self.asked = asked
        self.answered = answered


class GenerationTimeout(GenerationError):
    """The engine was asked, and one of three timeouts passed: `phase` names it."""

    def __init__(self, phase: TimeoutPhase, seconds: float) -> None:
        super().__init__(f"generation timed out: {phase} took longer than {seconds:g} s")
        self.phase = phase
        self.seconds = seconds


class PromptTooLong(ServingError):
    """Question and one passage do not fit into the prompt; `tokens` were needed, `limit` are there."""

    def __init__(self, *, tokens: int, limit: int) -> None:
        super().__init__(f"the question and one passage need {tokens} tokens, the prompt may have {limit}")
        self.tokens = tokens
        self.limit = limit


class SchemaError(ServingError):
    """The schema an answer should fit is none, or refers to something outside itself, which is never fetched."""


class ManifestError(ServingError):
    """A model manifest has unknown or missing fields, wrong types, or a name that does not fit its digest."""
