"""Reads what is asked of documents: the id in a path, the fields of query and body, the place in a list."""

import base64
from typing import TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from fastapi import Request
from pydantic import ValidationError

from gateway.documents.access import Place
from gateway.documents.schemas import new_id, storable_id
from gateway.errors import Invalid, NotFound
from gateway.http.bounds import refused
from gateway.schemas import Strict

_BEFORE = b"/v1/documents/"
ACCESS, HISTORY, REVERT = "/access", "/history", "/revert"
Fields = TypeVar("Fields", bound=Strict)


def ends_with(request: Request, ending: str) -> bool:
    """Whether the path ends so by itself; in `a%2Fhistory` the ending is part of an id."""
    return _raw(request).endswith(ending.encode())


def addressed(request: Request, ending: str = "") -> str:
    """The id in the path, before `ending`. Its slashes may stand for themselves or be escaped."""
    if not ends_with(request, ending):
        raise NotFound(f"there is no {request.method} {request.url.path}")
    try:
        return storable_id(unquote_to_bytes(_raw(request).removesuffix(ending.encode())).decode())
    except ValueError as error:
        raise Invalid("id: an id has 1 to 1024 characters of UTF-8, none of them NUL", param="id") from error


def addressed_new(request: Request) -> str:
    """The id of what is to be there; stricter, as what is there already may have come another way."""
    try:
        return new_id(addressed(request))
    except ValueError as error:
        raise Invalid(f"id: {error}", param="id") from error


def asked(request: Request, fields: type[Fields]) -> Fields:
    """The query, with no parameter in it that is not known: one that is misspelt would have no effect."""
    try:
        return fields.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise refused(error) from error


async def sent(request: Request, fields: type[Fields]) -> Fields:
    """The body, read only now that the caller is known: it may be large."""
    try:
        return fields.model_validate_json(await request.body() or b"{}")
    except ValidationError as error:
        raise refused(error) from error


def cursor(place: Place | None) -> str | None:
    """Where a list goes on, as one word."""
    return place and base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def place(given: str | None) -> Place | None:
    """The place that `cursor` wrote."""
    if given is None:
        return None
    try:
        tenant, document = msgspec.json.decode(base64.urlsafe_b64decode(given), type=tuple[str, str])
    except (ValueError, msgspec.DecodeError) as error:
        raise Invalid("after: send `next` of the page before, as it is", param="after") from error
    return tenant, document


def _raw(request: Request) -> bytes:
    return bytes(request.scope["raw_path"]).partition(_BEFORE)[2]
