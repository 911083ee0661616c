"""What `/openapi.json` says: every operation with what it takes, who may do it, and what it answers or refuses with."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway.documents.schemas import (
    Addressing,
    BulkBody,
    Deleting,
    DocumentBody,
    GrantBody,
    Listing,
    Nothing,
    RevertBody,
)
from gateway.records.schemas import DecisionBody, FeedbackBody, Paging, PersonQuery, RecordsQuery
from gateway.schemas import AnswerRequest, ChatRequest, GateBody, SearchRequest
from gateway.scopes import MEASURES, NEEDED

_REF: Final = "#/components/schemas/{model}"
_JSON, _STREAM, _TEXT = "application/json", "text/event-stream", "text/plain"
_SHAPES: Final[Mapping[str, Mapping[str, str]]] = {_STREAM: {}, _TEXT: {"type": "string"}}
_REFUSALS: Final = {
    "401": "Nobody that is known asks.",
    "403": "The caller may not do this.",
    "404": "It is not there, or not the caller's.",
    "409": "It does not go with what is there.",
    "413": "The body is too large.",
    "422": "Something in the request cannot be meant: the message says what.",
    "429": "A limit is used up, or too much is in flight: `Retry-After` says when to try again.",
    "500": "A fault of the gateway.",
    "503": "A part is gone.",
    "504": "The time for this is over.",
}
_TENANT: Final = {"name": "tenant", "in": "query", "schema": {"anyOf": [{"type": "string"}, {"type": "null"}]}}
_DAYS: Final = {
    "name": "days",
    "in": "query",
    "schema": {"type": "integer", "minimum": 1, "maximum": 366, "default": 30},
}
_FORCED: Final = (
    {"name": "x-twinpin-index", "in": "header", "schema": {"type": "string"}},
    {"name": "x-twinpin-model", "in": "header", "schema": {"type": "string"}},
)
_ASKING: Final = (
    *_FORCED,
    {"name": "x-request-timeout", "in": "header", "schema": {"type": "number", "exclusiveMinimum": 0}},
    {"name": "cache-control", "in": "header", "schema": {"type": "string"}},
)
_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code", "param", "request_id"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "code": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "request_id": {"type": "string"},
            },
        }
    },
}


@dataclass(frozen=True, slots=True)
class _Operation:
    """`kinds` are the media types of what it answers, with each of the statuses in `answers`.

    `fields` are those that an answer in JSON has in any case.
    """

    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    answers: tuple[str, ...] = ("200",)
    kinds: tuple[str, ...] = (_JSON,)
    refusals: tuple[str, ...] = ()
    parameters: tuple[Mapping[str, Any], ...] = ()
    fields: tuple[str, ...] = ("object",)


_LIST: Final = ("object", "data")
_PAGE: Final = (*_LIST, "next")
_PUT: Final = ("id", "version", "outcome", "sequence")
_ANSWER: Final = (
    "id",
    "object",
    "created",
    "status",
    "reason",
    "answer",
    "citations",
    "unsupported",
    "versions",
    "usage",
)
_CHANGES: Final = ("404", "409")
_OPERATIONS: Final[Mapping[str, _Operation]] = {
    "POST /v1/answer": _Operation(
        body=AnswerRequest, kinds=(_JSON, _STREAM), refusals=("404",), parameters=_ASKING, fields=_ANSWER
    ),
    "POST /v1/chat/completions": _Operation(
        body=ChatRequest,
        kinds=(_JSON, _STREAM),
        refusals=("404",),
        parameters=_ASKING,
        fields=("id", "object", "created", "model", "choices", "usage", "twinpin"),
    ),
    "POST /v1/search": _Operation(
        body=SearchRequest, refusals=("404",), parameters=_FORCED, fields=("object", "passages", "versions", "timings")
    ),
    "GET /v1/documents": _Operation(query=Listing, fields=_PAGE),
    "GET /v1/documents/{id:path}": _Operation(query=Addressing, refusals=("404",), fields=("id", "version", "text")),
    "GET /v1/documents/{id:path}/history": _Operation(query=Addressing, refusals=("404",), fields=_LIST),
    "POST /v1/documents": _Operation(query=Addressing, body=BulkBody, answers=("202",)),
    "PUT /v1/documents/{id:path}": _Operation(Addressing, DocumentBody, ("200", "201"), refusals=_CHANGES, fields=_PUT),
    "DELETE /v1/documents/{id:path}": _Operation(query=Deleting, refusals=_CHANGES),
    "PATCH /v1/documents/{id:path}/access": _Operation(
        Addressing, GrantBody, refusals=_CHANGES, fields=("id", "access")
    ),
    "POST /v1/documents/{id:path}/revert": _Operation(Addressing, RevertBody, refusals=_CHANGES, fields=_PUT),
    "GET /v1/ingestions/{id}": _Operation(
        query=Addressing, refusals=("404",), fields=("object", "id", "state", "counts")
    ),
    "POST /v1/ingestions/{id}/revert": _Operation(Addressing, Nothing, refusals=_CHANGES),
    "POST /v1/feedback": _Operation(body=FeedbackBody, refusals=("404",)),
    "GET /v1/review": _Operation(query=Paging, fields=_PAGE),
    "POST /v1/review": _Operation(body=DecisionBody, refusals=_CHANGES),
    "GET /v1/records": _Operation(query=RecordsQuery, fields=_PAGE),
    "GET /v1/records/{id}": _Operation(refusals=("404",), fields=("id", "kind", "about")),
    "DELETE /v1/records": _Operation(query=PersonQuery, fields=()),
    "GET /v1/usage": _Operation(parameters=(_TENANT, _DAYS), fields=("object", "tenant", "limits", "days")),
    "GET /healthz": _Operation(fields=("status",)),
    "GET /readyz": _Operation(answers=("200", "503"), fields=("status", "checks")),
    "GET /v1/gates": _Operation(fields=("object", "closed")),
    "POST /v1/gates": _Operation(body=GateBody, refusals=("404",), fields=("object", "closed")),
    "GET /metrics": _Operation(kinds=(_TEXT,)),
}


def described(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """What FastAPI knows of the routes, completed from the schemas that their handlers read by themselves."""
    generate = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = generate()
            for needed, scopes in NEEDED.items():
                method, path = needed.split(" ", 1)
                known = found["paths"].get(path.replace(":path", ""), {}).get(method.lower())
                if known is not None:
                    known |= _completed(needed, scopes or (MEASURES if path == "/metrics" else ()))
            found["components"] = {
                "schemas": _schemas(),
                "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            }
            app.openapi_schema = found
        return app.openapi_schema

    return document


def _completed(needed: str, scopes: tuple[str, ...]) -> dict[str, Any]:
    operation = _OPERATIONS.get(needed, _Operation())
    refusals = {"422", "500", "503", *(("401", "403", "429", "504") if scopes else ()), *operation.refusals}
    if operation.body is not None:
        refusals.add("413")
    told: dict[str, Any] = {
        "parameters": [*_path(needed), *operation.parameters, *_query(operation.query)],
        "responses": {
            **{status: _refusal(status) for status in sorted(refusals - set(operation.answers))},
            **{status: _answer(operation) for status in operation.answers},
        },
        "security": _security(needed, scopes),
        "x-scopes": list(scopes),
    }
    if operation.body is not None:
        schema = {"$ref": _REF.format(model=operation.body.__name__)}
        told["requestBody"] = {"required": True, "content": {_JSON: {"schema": schema}}}
    return told


def _security(needed: str, scopes: tuple[str, ...]) -> list[dict[str, Any]]:
    """What an operation table has no scope for, and yet has some, is for everybody where it is said so."""
    return [{}] * (not NEEDED[needed]) + [{"key": []}] * bool(scopes)


def _path(needed: str) -> Iterator[dict[str, Any]]:
    if "{id" in needed:
        bounded = {"type": "string", "minLength": 1, "maxLength": 1_024}
        yield {"name": "id", "in": "path", "required": True, "schema": bounded}


def _query(fields: type[BaseModel] | None) -> Iterator[dict[str, Any]]:
    if fields is None:
        return
    schema = fields.model_json_schema(ref_template=_REF)
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        yield {"name": name, "in": "query", "required": name in required, "schema": field}


def _answer(operation: _Operation) -> dict[str, Any]:
    fields = {"type": "object", "required": list(operation.fields)}
    return {
        "description": "Done.",
        "content": {kind: {"schema": _SHAPES.get(kind, fields)} for kind in operation.kinds},
    }


def _refusal(status: str) -> dict[str, Any]:
    return {
        "description": _REFUSALS[status],
        "content": {_JSON: {"schema": {"$ref": _REF.format(model="Error")}}},
    }


def _schemas() -> dict[str, Any]:
    bodies = [(one.body, "validation") for one in _OPERATIONS.values() if one.body is not None]
    _, told = models_json_schema(bodies, ref_template=_REF)  # type: ignore[arg-type]  # a list of one literal
    return {**told["$defs"], "Error": _ERROR}
