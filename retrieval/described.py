"""How a document is written down: the one shape that the API shows, the command line prints, a program reads back."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from retrieval.acl import Access
from retrieval.documents import Outcome
from retrieval.entries import Document, Version

_SHOWN = ("id", "version", "title", "source", "category", "updated", "expires")
_KEPT = (*_SHOWN, "supersedes", "origin", "name", "given", "sequence", "epoch")
_DAYS = ("updated", "expires")


def readable(document: Document) -> dict[str, Any]:
    """What every reader may know: nothing of other readers, of other documents or of how much changes."""
    return {"object": "document", **{name: _plain(getattr(document, name)) for name in _SHOWN}}


def described(document: Document) -> dict[str, Any]:
    """All that is known of a document, but its text: for whoever may change it."""
    kept = {name: _plain(getattr(document, name)) for name in _KEPT}
    return {"object": "document", **kept, "access": access_lists(document.access)}


def access_lists(access: Access) -> dict[str, Any]:
    """Tenant and both lists, in order."""
    return {"tenant": access.tenant, "allow": sorted(access.allow), "deny": sorted(access.deny)}


def read_described(shown: Mapping[str, Any]) -> Document:
    """The document that `described` wrote down."""
    lists = shown["access"]
    access = Access(lists["tenant"], frozenset(lists["allow"]), frozenset(lists["deny"]))
    days = {name: date.fromisoformat(shown[name]) if shown[name] else None for name in _DAYS}
    return Document(**{**{name: shown[name] for name in _KEPT}, **days}, access=access)


def outcome_fields(outcome: Outcome) -> dict[str, Any]:
    """What became of one document."""
    shown = {"document": outcome.document, "status": outcome.status, "reason": outcome.reason, "code": outcome.code}
    return {**shown, "version": outcome.version, "sequence": outcome.sequence, "chunks": outcome.chunks}


def read_outcome(tenant: str, shown: Mapping[str, Any]) -> Outcome:
    """The outcome that `outcome_fields`, or the progress of an ingestion, wrote down."""
    known = ("document", "status", "reason", "code", "version", "sequence", "chunks")
    return Outcome(tenant, **{name: shown[name] for name in known if shown.get(name) is not None})


def version_fields(version: Version) -> dict[str, Any]:
    """One line of a history."""
    document = version.document
    shown = {"version": document.version, "title": document.title, "name": document.name, "sequence": document.sequence}
    return {**shown, "at": version.at.isoformat(), "current": version.current, "ingestion": version.ingestion or None}


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value
