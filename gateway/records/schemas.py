"""What callers may send about answers that were given, field by field."""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from pydantic import Field, StringConstraints, model_validator

from gateway.errors import Invalid
from gateway.records.feedback import Failure, Rating
from gateway.records.reviewing import Verdict
from gateway.schemas import Instant, Strict, Words
from retrieval.records.book import Place
from retrieval.records.record import Kept

AnswerId = Annotated[str, StringConstraints(pattern=r"^ans_[0-9a-zA-Z]{1,64}$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8_000)]


class FeedbackBody(Strict):
    """`POST /v1/feedback`."""

    answer: AnswerId
    rating: Rating
    failure: Failure | None = None
    correction: Text | None = None
    comment: Text | None = None

    @model_validator(mode="after")
    def _failure_of_a_bad_answer(self) -> "FeedbackBody":
        if self.failure is not None and self.rating == "up":
            raise ValueError("`failure` says what is wrong with an answer that is rated `down`")
        return self


class DecisionBody(Strict):
    """`POST /v1/review`."""

    answer: AnswerId
    decision: Verdict
    correction: Text | None = None
    note: Text | None = None

    @model_validator(mode="after")
    def _correction_of_what_is_corrected(self) -> "DecisionBody":
        if (self.correction is not None) != (self.decision == "correct"):
            raise ValueError("`correction` goes with the decision `correct`, and that with a `correction`")
        return self


class Paging(Strict):
    """A page of a list."""

    limit: Annotated[int, Field(ge=1, le=1_000)] = 50
    after: str | None = None


class RecordsQuery(Paging):
    """`GET /v1/records`: those of a tenant or of all, created in [`since`, `until`)."""

    tenant: Words | None = None
    kind: Literal["answer", "feedback", "decision", "erasure"] | None = None
    since: Instant | None = None
    until: Instant | None = None


class PersonQuery(Strict):
    """`DELETE /v1/records`: a person, whose tenant has to be named."""

    tenant: Annotated[Words, Field(min_length=1)]
    subject: Annotated[Words, Field(min_length=1)]


def cursor_of(found: Sequence[Kept], limit: int) -> str | None:
    """Where a list goes on that was asked for one more than `limit`."""
    if len(found) <= limit:
        return None
    last = found[limit - 1].record
    return base64.urlsafe_b64encode(msgspec.json.encode((last.created, last.id))).decode()


def place_of_cursor(given: str | None) -> Place | None:
    """The place that `cursor_of` wrote."""
    if given is None:
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(given), type=tuple[datetime, str])
    except (ValueError, msgspec.DecodeError) as error:
        raise Invalid("after: send `next` of the page before, as it is", param="after") from error
