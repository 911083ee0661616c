"""A question on its way through the gateway."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.caller import Caller
from gateway.release import ResolvedPins
from gateway.tracing import UNTRACED, Trace
from retrieval.acl import Principal
from retrieval.store import Narrowing
from serving.generator import Message


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as any wire brings it. `user` and `conversation` steer assignment and records, never access."""

    question: str
    history: tuple[Message, ...]
    narrowing: Narrowing
    max_tokens: int | None = None
    response_format: Mapping[str, object] | None = None
    conversation: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question on its way: who asks what, and which versions will answer."""

    id: str
    created: datetime
    asked: Asked
    caller: Caller
    pins: ResolvedPins
    trace: Trace = UNTRACED

    @property
    def principal(self) -> Principal:
        """For whom everything is read."""
        return self.caller.principal
