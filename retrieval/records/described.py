"""A record as it is shown and exported: its parts in plain fields, and which of them are gone."""

from typing import Any

from retrieval.records.record import PARTS, Kept, fields_of, gone_parts


def described(kept: Kept) -> dict[str, Any]:
    """Times in RFC 3339."""
    record, gone = kept.record, gone_parts(kept)
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
        "erased": [name for name in PARTS if name in gone],
        "batch": kept.batch,
        "n": kept.n,
        "digest": kept.digest,
    }
