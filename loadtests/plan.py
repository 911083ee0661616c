"""What a load test is to do: written by who starts the stack, read by Locust, which is a process of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

Shape = Literal["steady", "spike", "soak"]
KINDS = {"short": "Short", "chat": "Chat", "stream": "Stream", "search": "Search", "churn": "Churn"}  # users, by class
SPIKE = 5  # times the users of the rest
_RAMP_SECONDS = 5.0


class Thresholds(msgspec.Struct, frozen=True):
    """What fails a run: seconds by kind of request at the 95th percentile, and shares of all requests."""

    p95: Mapping[str, float]
    failed: float = 0.001
    refused: float = 0.0


class Stage(msgspec.Struct, frozen=True):
    """So many users until so many seconds after the start."""

    until: float
    users: int


class Question(msgspec.Struct, frozen=True):
    """A golden question as its caller asks it; documents in `forbidden` may not come back."""

    caller: str
    question: str
    forbidden: tuple[str, ...]


class Plan(msgspec.Struct, frozen=True):
    """`keys` by caller; `writer` is a key that may write documents of `tenant`."""

    keys: Mapping[str, str]
    writer: str
    tenant: str
    questions: tuple[Question, ...]
    stages: tuple[Stage, ...]
    thresholds: Thresholds

    def write(self, path: Path) -> None:
        """It holds keys: for its owner alone."""
        path.touch(0o600)
        path.write_bytes(msgspec.json.encode(self))


def read_plan(path: str) -> Plan:
    """As `write` left it."""
    return msgspec.json.decode(Path(path).read_bytes(), type=Plan)


def stages(shape: Shape, users: int, seconds: float) -> tuple[Stage, ...]:
    """Steady and soak differ in what is looked at afterwards; a spike is the middle third."""
    if shape != "spike":
        return (Stage(seconds, users),)
    return Stage(seconds / 3, users), Stage(2 * seconds / 3, SPIKE * users), Stage(seconds, users)


def users_at(plan: Plan, now: float) -> tuple[int, float] | None:
    """How many users there are to be, and how many a second may come or go; None once it is over."""
    for stage in plan.stages:
        if now < stage.until:
            return stage.users, max(1.0, stage.users / _RAMP_SECONDS)
    return None
