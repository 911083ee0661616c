"""A question on its way through the gateway."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway.cache.wishes import WISHLESS, Wish
from gateway.caller import Caller
from gateway.limits.admission import Spending
from gateway.metering import Tab
from gateway.release import ResolvedPins
from gateway.telemetry.tracing import UNTRACED, Trace
from retrieval.acl import Principal
from retrieval.store import Narrowing
from serving.cost import at_most, list_cost
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
    retrieval: Literal["auto", "none"] = "auto"


@dataclass(slots=True)
class Exchange:
    """One question on its way: who asks what, until when by the event loop's clock, and which versions will answer.

    Only a fallback changes those.
    """

    id: str
    created: datetime
    asked: Asked
    caller: Caller
    pins: ResolvedPins
    tab: Tab
    deadline: float
    trace: Trace = UNTRACED
    wish: Wish = WISHLESS

    @property
    def principal(self) -> Principal:
        """For whom everything is read."""
        return self.caller.principal

    def falls_back(self) -> bool:
        """Have the fallback model answer where no engine serves the one that was drawn, before anything was said."""
        fallen = self.pins.fallen_back()
        alone = self.asked.retrieval == "none" and fallen.model_version.manifest.prompt_alone is None
        if fallen is self.pins or alone:
            return False
        self.pins = fallen
        self.tab.moves(fallen.model_version)
        return True

    def follows(self, other: "Exchange") -> None:
        """Be answered by the fallback, as another one was that asked the same."""
        if other.pins.fallback_for is not None and other.pins.model != self.pins.model:
            self.pins = other.pins
            self.tab.moves(other.pins.model_version)

    def most(self) -> Spending:
        """What answering it can take at most."""
        manifest = self.pins.model_version.manifest
        asked = self.asked
        rewriting = asked.retrieval == "auto" and any(message.role == "user" for message in asked.history)
        tokens = at_most(manifest, asked.max_tokens, rewriting=rewriting)
        return Spending(manifest.name, tokens, list_cost(manifest.price, tokens))

    def spending(self) -> Spending:
        """What it has taken so far."""
        return Spending(self.pins.model, self.tab.tokens, self.tab.cost)
