"""A question on its way through the gateway."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway.cache.wishes import WISHLESS, Wish
from gateway.caller import Caller
from gateway.limits.admission import Spending
from gateway.metering import Tab
from gateway.release import ModelVersion, ResolvedPins
from gateway.telemetry.tracing import UNTRACED, Trace
from retrieval.acl import Principal
from retrieval.store import Narrowing
from serving.cost import Tokens, at_most, list_cost
from serving.generator import Message
from serving.manifest import Price


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
        if fallen is self.pins or not self._suits(fallen.model_version):
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
        """What answering it can take at most, by whichever version answers, or both."""
        asked, own, fallback = self.asked, self.pins.model_version, self.pins.fallback
        manifests = [own.manifest, *([fallback.manifest] if fallback is not None and self._suits(fallback) else [])]
        rewriting = asked.retrieval == "auto" and any(message.role == "user" for message in asked.history)
        each = [at_most(manifest, asked.max_tokens, rewriting=rewriting) for manifest in manifests]
        tokens = Tokens(max(one.prompt for one in each), max(one.completion for one in each))
        prices = [manifest.price for manifest in manifests]
        dearest = Price(max(one.input for one in prices), max(one.output for one in prices))
        return Spending(self.pins.model, tokens, list_cost(dearest, tokens))

    def _suits(self, fallback: ModelVersion) -> bool:
        return self.asked.retrieval == "auto" or fallback.manifest.prompt_alone is not None

    def spending(self) -> Spending:
        """What it has taken so far."""
        return Spending(self.pins.model, self.tab.tokens, self.tab.cost)
