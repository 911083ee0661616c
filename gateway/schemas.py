"""What callers may send, field by field; anything else is a 422 that names the field."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from retrieval.store import Narrowing
from serving.generator import Message

LONGEST_QUESTION = 8_000
Question = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_QUESTION)]
Words = Annotated[str, StringConstraints(max_length=256)]


class Strict(BaseModel):
    """Unknown fields are errors, so that a misspelt filter can never be silently dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Filter(Strict):
    """Narrows what the caller may see, never widens it. Dates are inclusive."""

    category: list[Words] | Words | None = None
    updated_after: date | None = None
    updated_before: date | None = None

    def narrowing(self) -> Narrowing:
        """The same as retrieval takes it."""
        category = [self.category] if isinstance(self.category, str) else self.category or []
        return Narrowing(tuple(category), self.updated_after, self.updated_before)


class TextPart(BaseModel):
    """OpenAI's content part; only text can be asked about."""

    type: Literal["text"]
    text: str


class Turn(BaseModel):
    """One message of a conversation in OpenAI's form."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    def words(self) -> str:
        """The text of all parts."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)

    def message(self) -> Message:
        """As the prompt builder takes it."""
        return Message("system" if self.role == "developer" else self.role, self.words())


Turns = Annotated[list[Turn], Field(min_length=1, max_length=1_000)]


class AnswerRequest(Strict):
    """`POST /v1/answer`: a question, or messages whose last user turn is the question."""

    question: Question | None = None
    messages: Turns | None = None
    conversation: Words | None = None
    user: Words | None = None
    filter: Filter = Filter()
    stream: bool = False
    max_tokens: Annotated[int, Field(ge=1, le=4_096)] | None = None
    response_format: dict[str, Any] | None = None
    retrieval: Literal["auto"] = "auto"

    @model_validator(mode="after")
    def _one_question(self) -> "AnswerRequest":
        if (self.question is None) == (self.messages is None):
            raise ValueError("send either `question` or `messages`")
        return self


class StreamOptions(BaseModel):
    """OpenAI's streaming options."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """`POST /v1/chat/completions`. Fields that the model version pins are accepted and named in `twinpin.ignored`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    model: str
    messages: Turns
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    response_format: dict[str, Any] | None = None
    user: Words | None = None
    n: Literal[1] | None = 1
    filter: Filter = Filter()
    conversation: Words | None = None

    def ignored(self) -> list[str]:
        """Fields that were sent and have no effect."""
        return sorted(name for name, value in (self.model_extra or {}).items() if value is not None)


class SearchRequest(Strict):
    """`POST /v1/search`."""

    query: Question
    filter: Filter = Filter()
    limit: Annotated[int, Field(ge=1, le=50)] = 10
