"""JSON lines on standard error: what happened, to which ids and versions, and none of the words that were said.

Where content is wanted it is redacted. What a foreign library says, and the text of an exception that is not ours, may
quote anything that went through it; without content its type and its place in the code are left of it.
"""

import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from gateway.errors import GatewayError
from retrieval.errors import RetrievalError
from serving.errors import ServingError
from serving.redaction import redact

Level = Literal["debug", "info", "warning", "error"]
_OURS = GatewayError, RetrievalError, ServingError
_DEEPEST, _FRAMES = 8, 12


def configure_logs(level: Level = "info", *, content: bool = False, stream: TextIO | None = None) -> None:
    """Ours from `level` on; those of libraries from warnings on, as what they tell of their work is full of data."""
    chain: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Failures(content),
        structlog.processors.JSONRenderer(_line),
    ]
    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Library(content)], force=True)


def _line(event: EventDict, default: Callable[[Any], Any]) -> str:
    """What JSON has no form for is told by its `repr`; half a character, that no UTF-8 holds, in ASCII alone."""
    try:
        return msgspec.json.encode(event, enc_hook=default).decode()
    except UnicodeEncodeError:
        return json.dumps(event, default=default)


class _Library(logging.Handler):
    """Hands what a library logs to our own log: its message before anything is filled in, and of that a line."""

    def __init__(self, content: bool) -> None:
        super().__init__()
        self._content = content

    def emit(self, record: logging.LogRecord) -> None:
        told = redact(record.getMessage()) if self._content else str(record.msg).partition("\n")[0]
        log = structlog.get_logger()
        log.log(record.levelno, "library", logger=record.name, message=told, exc_info=record.exc_info)


@dataclass(frozen=True, slots=True)
class _Failures:
    """Renders `exc_info`: the failure and what it came from, each with its type, its place, and its text if it may."""

    content: bool

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        given = event.pop("exc_info", None)
        error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
        if isinstance(error, BaseException):
            event["failure"] = [self._told(one) for one in _chain(error)]
        return event

    def _told(self, error: BaseException) -> dict[str, Any]:
        kind = type(error)
        walked = traceback.walk_tb(error.__traceback__)
        frames = traceback.StackSummary.extract(walked, lookup_lines=False)[-_FRAMES:]
        told = {"type": f"{kind.__module__}.{kind.__qualname__}", "text": self._text(error)}
        return told | {"frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]}

    def _text(self, error: BaseException) -> str | None:
        if self.content:
            return redact(str(error))
        if isinstance(error, _OURS):
            return str(error)
        return error.strerror if isinstance(error, OSError) else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The failure, what it was raised from, and so on."""
    link: BaseException | None = error
    for _ in range(_DEEPEST):
        if link is None:
            return
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
