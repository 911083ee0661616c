"""What callers may send, field by field; anything else is a 422 that names the field."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from gateway.http.bounds import MOST_FIELDS, Format
from retrieval.store import Narrowing
from serving.generator import Message

LONGEST_QUESTION = 8_000
_NO_NUL = r"^[^\x00]*$"  # which not every database takes
Question = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_QUESTION, pattern=_NO_NUL)
]
Words = Annotated[str, StringConstraints(max_length=256, pattern=_NO_NUL)]
Text = Annotated[str, StringConstraints(pattern=_NO_NUL)]
Retrieval = Literal["auto", "none"]
MostTokens = Annotated[int, Field(ge=1, le=4_096)]
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


def day_of(given: object) -> date:
    """A date as RFC 3339 writes it, or the day in UTC of a time: one without an offset is somebody's own."""
    written = given.upper() if isinstance(given, str) else ""
    try:
        if _DAY.fullmatch(written):
            return date.fromisoformat(written)
        if _INSTANT.fullmatch(written):
            return datetime.fromisoformat(written).astimezone(UTC).date()
    except (ValueError, OverflowError) as error:
        raise ValueError(f"there is no such day: {error}") from error
    raise ValueError("send a date (2026-11-21) or a time with its offset (2026-11-21T10:00:00Z)")


def _written(given: object) -> object:
    """A number would be read as seconds since 1970."""
    if not isinstance(given, str) or not _INSTANT.fullmatch(given.upper()):
        raise ValueError("send a time with its offset (2026-11-21T10:00:00Z)")
    return given


Day = Annotated[date, BeforeValidator(day_of)]
Instant = Annotated[AwareDatetime, BeforeValidator(_written)]


class Strict(BaseModel):
    """Unknown fields are errors, so that a misspelt filter can never be silently dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Filter(Strict):
    """Narrows what the caller may see, never widens it. Days are inclusive and in UTC."""

    category: Annotated[list[Words], Field(max_length=100)] | Words | None = None
    updated_after: Day | None = None
    updated_before: Day | None = None

    def narrowing(self) -> Narrowing:
        """The same as retrieval takes it."""
        category = [self.category] if isinstance(self.category, str) else self.category or []
        return Narrowing(tuple(category), self.updated_after, self.updated_before)


def narrowing_of(wanted: Filter | None) -> Narrowing:
    """What a request's filter narrows to; none narrows nothing."""
    return (wanted or Filter()).narrowing()


class TextPart(BaseModel):
    """OpenAI's content part; only text can be asked about."""

    type: Literal["text"]
    text: Text


class Turn(BaseModel):
    """One message of a conversation in OpenAI's form."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | Annotated[list[TextPart], Field(max_length=1_000)] | None = None

    def words(self) -> str:
        """The text of all parts; an assistant's turn that only called tools has none."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content or ())

    def message(self) -> Message | None:
        """As the prompt builder takes it; None for turns that a model version has no use for."""
        if self.role not in ("user", "assistant") or not self.words():
            return None
        return Message("user" if self.role == "user" else "assistant", self.words())


Turns = Annotated[list[Turn], Field(min_length=1, max_length=1_000)]


class AnswerRequest(Strict):
    """`POST /v1/answer`: a question, or messages whose last user turn is the question."""

    question: Question | None = None
    messages: Turns | None = None
    conversation: Words | None = None
    user: Words | None = None
    filter: Filter | None = None
    stream: bool | None = False
    max_tokens: MostTokens | None = None
    response_format: Format | None = None
    retrieval: Retrieval = "auto"

    @model_validator(mode="after")
    def _one_question(self) -> "AnswerRequest":
        if (self.question is None) == (self.messages is None):
            raise ValueError("send either `question` or `messages`")
        return self


class AnswerTool(Strict):
    """What of it an agent may set."""

    question: Question
    filter: Filter | None = None
    conversation: Words | None = None
    max_tokens: MostTokens | None = None


class StreamOptions(BaseModel):
    """OpenAI's streaming options."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """`POST /v1/chat/completions`. Fields that the model version pins are accepted and named in `twinpin.ignored`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    model: Words
    messages: Turns
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    response_format: Format | None = None
    user: Words | None = None
    n: Literal[1] | None = 1
    filter: Filter | None = None
    conversation: Words | None = None
    retrieval: Retrieval = "auto"

    @model_validator(mode="after")
    def _no_tools(self) -> "ChatRequest":
        sent = self.model_extra or {}
        if len(sent) > MOST_FIELDS:
            raise ValueError(f"there are more than {MOST_FIELDS} unknown fields: leave them out")
        if sent.get("tools") or sent.get("functions"):
            raise ValueError("tools are not supported by the pinned model version: leave them out")
        return self

    def ignored(self) -> list[str]:
        """What was sent and has no effect: fields that the model version pins, and turns that it does not read."""
        fields = [name for name, value in (self.model_extra or {}).items() if value is not None]
        roles = {turn.role for turn in self.messages} - {"user", "assistant"}
        return sorted([*fields, *(f"messages.{role}" for role in roles)])


class SearchRequest(Strict):
    """`POST /v1/search`."""

    query: Question
    filter: Filter | None = None
    limit: Annotated[int, Field(ge=1, le=50)] = 10


class GateBody(Strict):
    """`POST /v1/gates`: the path to open, as `GET /v1/gates` names it."""

    open: Words
