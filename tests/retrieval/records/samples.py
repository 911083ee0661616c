"""Records without a gateway: whatever they are of."""

from datetime import UTC, datetime, timedelta
from typing import Any

from retrieval.records.record import Record, part

START = datetime(2026, 11, 21, 10, tzinfo=UTC)


def answer(number: int, *, tenant: str = "acme", subject: str = "ana", **changed: Any) -> Record:
    """An answer from one document; what is given in `changed` counts in place of that."""
    fields: dict[str, Any] = {
        "id": f"ans_{number:04}",
        "kind": "answer",
        "created": START + timedelta(seconds=number),
        "tenant": tenant,
        "subject": subject,
        "facts": part({"outcome": "answered"}),
        "person": part({"user": "u-1"}),
        "sources": part({"passages": [{"document": "policies/refunds.md"}]}),
        "words": part({"answer": f"Within 45 days, said number {number}."}),
        "documents": ("policies/refunds.md",),
    }
    return Record(**{**fields, **changed})
