"""What vLLM is sent and what its streams say, as bytes and values: the format, without the connection."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from serving.errors import EngineAborted, EngineRefused, EngineUnavailable, GenerationError, WrongModel
from serving.generator import Finish, GenerationRequest, Piece, Text

LONGEST_LINE = 1 << 20
DETAIL_CHARACTERS = 2000


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None


class _Failure(msgspec.Struct, gc=False):
    message: str = ""
    code: int | str | None = None


class _Chunk(msgspec.Struct, gc=False):
    model: str | None = None
    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None
    error: _Failure | None = None


_decode = msgspec.json.Decoder(_Chunk).decode


class _Served(msgspec.Struct):
    id: str


class _ServedList(msgspec.Struct):
    data: tuple[_Served, ...]


def encode_request(request: GenerationRequest) -> bytes:
    """The body of a streamed chat completion; nothing is in it that `request` does not say."""
    sampling = request.sampling
    optional: dict[str, object] = {
        "seed": sampling.seed,
        "stop": sampling.stop or None,
        "response_format": request.response_format,
        "cache_salt": request.cache_salt,
    }
    return msgspec.json.encode(
        {
            "model": request.model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "repetition_penalty": sampling.repetition_penalty,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        | {name: value for name, value in optional.items() if value is not None}
    )


def decode_models(raw: bytes) -> frozenset[str]:
    """The names in an answer of `/v1/models`."""
    try:
        return frozenset(served.id for served in msgspec.json.decode(raw, type=_ServedList).data)
    except msgspec.DecodeError as error:
        raise EngineUnavailable("the engine's list of models cannot be read") from error


class AnswerReader:
    """Turns the events of one stream into pieces; raises GenerationError on what is no part of an answer by `model`."""

    __slots__ = ("_model", "_reason", "_usage", "finished")

    def __init__(self, model: str) -> None:
        self._model = model
        self._reason: Literal["stop", "length"] | None = None
        self._usage: _Usage | None = None
        self.finished = False

    def read(self, events: Iterable[bytes]) -> Iterator[Piece]:
        """What the payloads of events that came together hold: their words in one piece, however an error cuts it."""
        words: list[str] = []
        try:
            for event in events:
                if event == b"[DONE]":
                    finish = self._finish()
                    yield from _together(words)
                    words = []
                    yield finish
                elif text := self._take(_chunk(event)):
                    words.append(text)
        except GenerationError:
            yield from _together(words)
            raise
        yield from _together(words)

    def _take(self, chunk: _Chunk) -> str | None:
        if chunk.error is not None:
            raise _failure(chunk.error)
        if chunk.model != self._model:
            raise WrongModel(self._model, chunk.model or "")
        if chunk.usage is not None:
            self._usage = chunk.usage
        if not chunk.choices:
            return None
        choice = chunk.choices[0]
        if choice.finish_reason is not None:
            self._reason = _reason(choice.finish_reason)
        return choice.delta.content

    def _finish(self) -> Finish:
        if self._reason is None or self._usage is None or self.finished:
            raise EngineAborted("the engine ended its stream without saying why or how much")
        self.finished = True
        details = self._usage.prompt_tokens_details
        cached = (details.cached_tokens or 0) if details else 0
        return Finish(self._reason, self._usage.prompt_tokens, self._usage.completion_tokens, cached)


def _chunk(event: bytes) -> _Chunk:
    try:
        return _decode(event)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EngineAborted("the engine's stream cannot be read", detail=repr(event[:200])) from error


def _together(words: Sequence[str]) -> Iterator[Text]:
    if words:
        yield Text("".join(words), len(words))


def _reason(told: str) -> Literal["stop", "length"]:
    match told:
        case "stop" | "length":
            return told
        case _:
            raise EngineAborted(f"the engine ended the answer with {told[:40]!r}")


def _failure(failure: _Failure) -> GenerationError:
    told = str(failure.code)
    code = int(told) if told.isascii() and told.isdigit() else 500
    detail = failure.message[:DETAIL_CHARACTERS]
    if 400 <= code < 500:
        return EngineRefused(f"the engine refused the request with {code} in its stream", status=code, detail=detail)
    return EngineAborted(f"the engine failed with {code} in its stream", detail=detail)


class Lines:
    """Cuts a stream of bytes into the payloads of its `data:` lines, whatever the pieces it comes in."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Payloads that end in `data`; raises EngineAborted on a line longer than `LONGEST_LINE` bytes."""
        lines = (self._rest + data if self._rest else data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST_LINE:
            raise EngineAborted("the engine's stream holds a line without end")
        return [line[5:].strip() for line in lines if line.startswith(b"data:")]
