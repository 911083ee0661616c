"""The record of an erasure: which records lost which parts, and why. A part that is gone without one was taken."""

import secrets
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final, Literal, TypeAlias

from retrieval.records.record import PARTS, Part, Record, fields_of, part

ERASURE: Final = "erasure"
Why: TypeAlias = Literal["document", "person", "age"]
OF_DOCUMENT: Final = ("sources", "documents", "words")
OF_PERSON: Final = ("person", "subject", "words")
OF_REMARK: Final = ("words",)
"""The columns that a record loses with a document that it was answered from, with its person, with another's."""
Owned: TypeAlias = tuple[str, str]
"""A tenant, and the id of a record of theirs."""


def erasures(of: Iterable[Owned], columns: Collection[str], why: Why, at: datetime) -> list[Record]:
    """A record for each tenant. It names no document and nobody: who and what was erased stays so."""
    owned: dict[str, list[str]] = {}
    for tenant, record in of:
        owned.setdefault(tenant, []).append(record)
    parts = [name for name in PARTS if name in columns]
    return [
        Record(
            id=f"era_{secrets.token_hex(12)}",
            kind=ERASURE,
            created=at,
            tenant=tenant,
            subject=None,
            facts=part({"why": why, "parts": parts, "records": ids}),
        )
        for tenant, ids in owned.items()
    ]


def erased_by(erasure: Record) -> tuple[list[str], list[Part]]:
    """The records that it names, and the parts that they lost."""
    told = fields_of(erasure.facts)
    return told.get("records", []), told.get("parts", [])
