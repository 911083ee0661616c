"""A record as it is shown and exported: its parts in plain fields, and which of them are gone."""

from typing import Any

from retrieval.records.record import ABSENT, PARTS, Kept, fields_of


def described(kept: Kept) -> dict[str, Any]:
    """Times in RFC 3339."""
    record = kept.record
    erased = [
        name
        for name, digest in zip(PARTS, kept.digests, strict=True)
        if digest != ABSENT and getattr(record, name) is None
    ]
    return {
        "object": "record",
        "id": record.id,
        "kind": record.kind,
        "created": record.created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "tenant": record.tenant,
        "subject": record.subject,
        "of": record.about,
        "review": record.review,
        **{name: fields_of(getattr(record, name)) for name in PARTS},
        "erased": erased,
        "batch": kept.batch,
        "n": kept.n,
        "digest": kept.digest,
    }
