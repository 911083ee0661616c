"""Every refusal the API can give, and the one place where anything else becomes one of them.

GatewayError             status  code
 ├── Unauthenticated        401  invalid_api_key, expired_api_key, invalid_token
 ├── Forbidden              403  missing_scope, other_tenant, not_an_app
 ├── NotFound               404  not_found, model_not_found, version_not_found
 ├── MethodNotAllowed       405  method_not_allowed
 ├── Conflict               409  origin_conflict, changed_meanwhile, cannot_revert, already_decided
 ├── TooLarge               413  request_too_large
 ├── Invalid                422  invalid_request, document_refused
 ├── OverLimit              429  rate_limit_exceeded, insufficient_quota, overloaded
 ├── Overloaded             429  overloaded
 ├── Internal               500  internal_error
 ├── Unavailable            503  engine_unavailable, embedder_unavailable, store_unavailable
 │                          503  catalog_unavailable, erasure_incomplete, issuer_unavailable, records_unavailable
 │                          503  path_closed
 └── DeadlineExceeded       504  deadline_exceeded
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from retrieval.errors import (
    CannotRevert,
    CatalogError,
    ChangedMeanwhile,
    DocumentMissing,
    DocumentRefused,
    EmbedderUnavailable,
    ErasureIncomplete,
    OriginConflict,
    RetrievalError,
    SpoolError,
)
from serving.errors import EngineBusy, EngineUnavailable, GenerationError, GenerationTimeout, PromptTooLong


class GatewayError(Exception):
    """A refusal in OpenAI's shape. `message` says what, which and what to do; `param` names the field at fault."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: str = "internal_error"
    headers: Sequence[tuple[bytes, bytes]] = ()

    def __init__(
        self, message: str, *, code: str | None = None, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.param = param
        self.retry_after = retry_after

    def body(self, request_id: str) -> dict[str, Any]:
        """The JSON error object."""
        fields = {"message": self.message, "type": self.type, "code": self.code, "param": self.param}
        return {"error": {**fields, "request_id": request_id}}


class Unauthenticated(GatewayError):
    """Nobody we know asked."""

    status, type, code = 401, "authentication_error", "invalid_api_key"


class Forbidden(GatewayError):
    """The caller is known but may not do this."""

    status, type, code = 403, "permission_error", "missing_scope"


class NotFound(GatewayError):
    """Not there, or not this caller's: the two read the same."""

    status, type, code = 404, "invalid_request_error", "not_found"


class MethodNotAllowed(GatewayError):
    """The path exists, the method does not."""

    status, type, code = 405, "invalid_request_error", "method_not_allowed"


class Conflict(GatewayError):
    """What is asked for does not fit with what is there now."""

    status, type, code = 409, "invalid_request_error", "changed_meanwhile"


class TooLarge(GatewayError):
    """The body is over the limit."""

    status, type, code = 413, "invalid_request_error", "request_too_large"


class Invalid(GatewayError):
    """A field is missing, unknown or out of range."""

    status, type, code = 422, "invalid_request_error", "invalid_request"


class OverLimit(GatewayError):
    """A limit of the caller's tenant or key is used up; the same request may succeed later."""

    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"

    def __init__(
        self, message: str, *, retry_after: float, headers: Sequence[tuple[bytes, bytes]], code: str | None = None
    ) -> None:
        super().__init__(message, code=code, retry_after=retry_after)
        self.headers = headers


class Overloaded(GatewayError):
    """There is more work than is done in time; the same request may succeed in a moment."""

    status, type, code = 429, "rate_limit_error", "overloaded"


class Internal(GatewayError):
    """A fault of ours; details are in the log under the request id."""


class Unavailable(GatewayError):
    """A part that answers need is gone; nothing unchecked or ungrounded is served instead."""

    status, type, code = 503, "server_error", "engine_unavailable"


class DeadlineExceeded(GatewayError):
    """The answer did not come in time."""

    status, type, code = 504, "server_error", "deadline_exceeded"


def no_such_document() -> NotFound:
    """The same words whether the document is not there or not this caller's to see."""
    return NotFound("there is no such document")


def as_gateway_error(error: Exception) -> GatewayError:
    """What a caller is told of any failure, most specific first; nothing internal is in it."""
    match error:
        case GatewayError():
            return error
        case RetrievalError():
            return _of_retrieval(error)
        case PromptTooLong():
            return Invalid(
                f"the question needs {error.tokens} tokens with one passage, the model takes {error.limit}: shorten it",
                param="question",
            )
        case GenerationTimeout():
            return DeadlineExceeded("the model did not answer in time: try again, or ask for fewer max_tokens")
        case EngineBusy():
            again = error.retry_after or 1.0
            return Overloaded("the model engine has as much work as it takes: try again later", retry_after=again)
        case EngineUnavailable():
            again = error.retry_after or 5.0
            return Unavailable("the model engine is not available: try again later", retry_after=again)
        case GenerationError():
            return Unavailable("the model engine gave no complete answer: try again", retry_after=1.0)
        case TimeoutError():
            return DeadlineExceeded("finding did not end in time: try again")
        case _:
            return Internal("something failed on our side; quote the request_id when you report it")


def _of_retrieval(error: RetrievalError) -> GatewayError:
    match error:
        case DocumentMissing():
            return no_such_document()
        case DocumentRefused():
            return Invalid(str(error), code="document_refused")
        case OriginConflict():
            return Conflict(str(error), code="origin_conflict")
        case ChangedMeanwhile():
            return Conflict(str(error), code="changed_meanwhile")
        case CannotRevert():
            return Conflict(str(error), code="cannot_revert")
        case ErasureIncomplete():
            return Unavailable(str(error), code="erasure_incomplete", retry_after=5.0)
        case EmbedderUnavailable():
            gone = "the question cannot be searched for now, as the embedding model is not available: try again later"
            return Unavailable(gone, code="embedder_unavailable", retry_after=5.0)
        case SpoolError():
            gone = "the record of an answer cannot be kept now, so that none is given: try again later"
            return Unavailable(gone, code="records_unavailable", retry_after=5.0)
        case CatalogError():
            gone = "the document catalog is not available, so no passage can be checked: try again later"
            return Unavailable(gone, code="catalog_unavailable", retry_after=5.0)
        case _:
            gone = "the document index is not available: try again later"
            return Unavailable(gone, code="store_unavailable", retry_after=5.0)
