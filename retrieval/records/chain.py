"""The chain over batches of records: how a batch follows another, and where a chain that was tampered with breaks."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from retrieval.records.erased import ERASURE, erased_by
from retrieval.records.record import PARTS, Kept, Part, changed_parts, digest_of, gone_parts

GENESIS = "0" * 64
"""What the first batch follows."""


@dataclass(frozen=True, slots=True)
class Head:
    """How far a chain was when somebody looked, for holding it against that later."""

    sequence: int
    digest: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that were added together.

    `digest` covers its sequence and time, the batch before and each record's digest.
    """

    sequence: int
    previous: str
    digest: str
    size: int
    first: str
    last: str
    at: datetime

    @property
    def head(self) -> Head:
        """The chain as it is after this batch."""
        return Head(self.sequence, self.digest)


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a chain breaks first, and how."""

    batch: int
    record: str | None
    told: str


EMPTY = Head(0, GENESIS)


def next_batch(head: Head, records: Sequence[tuple[str, str]], at: datetime) -> Batch:
    """The batch of these records, as (id, digest), that follows `head`."""
    sequence = head.sequence + 1
    digest = _digest(sequence, head.digest, at, [one for _, one in records])
    return Batch(sequence, head.digest, digest, len(records), records[0][0], records[-1][0], at)


@dataclass(slots=True)
class Checker:
    """Takes a chain's batches in their order. `heads` are how far it is known to have been."""

    heads: Sequence[Head] = ()
    head: Head = EMPTY
    records: int = 0
    _gone: dict[str, tuple[int, set[Part]]] = field(default_factory=dict)

    def check(self, batch: Batch, records: Sequence[Kept]) -> Fault | None:
        """The next batch with its records by their place in it."""
        if fault := self._linked(batch) or _complete(batch, records) or _unchanged(batch, records):
            return fault
        digest = _digest(batch.sequence, batch.previous, batch.at, [one.digest for one in records])
        if digest != batch.digest:
            return Fault(batch.sequence, None, "its time or its records are not those it was made of")
        if any(one.sequence == batch.sequence and one.digest != digest for one in self.heads):
            return Fault(batch.sequence, None, "it is not the batch that was here before")
        self._look_for_erasures(records)
        self.head = batch.head
        self.records += len(records)
        return None

    def finish(self) -> Fault | None:
        """After the last batch."""
        furthest = max((one.sequence for one in self.heads), default=0)
        if furthest > self.head.sequence:
            return Fault(self.head.sequence + 1, None, f"the chain ends before it, and once had {furthest} batches")
        for record, (batch, parts) in self._gone.items():
            named = ", ".join(name for name in PARTS if name in parts)
            return Fault(batch, record, f"parts are gone that no erasure names: {named}")
        return None

    def _look_for_erasures(self, records: Sequence[Kept]) -> None:
        """What is gone waits for the erasure that took it, which stands in the same batch or in a later one."""
        for one in records:
            if parts := gone_parts(one):
                self._gone[one.record.id] = one.batch, parts
        for one in records:
            if one.record.kind == ERASURE:
                self._account_for(*erased_by(one.record))

    def _account_for(self, records: Sequence[str], erased: Sequence[Part]) -> None:
        for record in records:
            if record in self._gone:
                batch, parts = self._gone.pop(record)
                if left := parts.difference(erased):
                    self._gone[record] = batch, left

    def _linked(self, batch: Batch) -> Fault | None:
        due = self.head.sequence + 1
        if batch.sequence != due:
            return Fault(due, None, f"it is missing: batch {batch.sequence} comes next")
        if batch.previous != self.head.digest:
            return Fault(batch.sequence, None, "it does not follow the batch before it")
        return None


def _complete(batch: Batch, records: Sequence[Kept]) -> Fault | None:
    for n, one in enumerate(records):
        if (one.batch, one.n) != (batch.sequence, n):
            return Fault(batch.sequence, one.record.id, f"it stands where record {n} should be")
    if len(records) != batch.size:
        return Fault(batch.sequence, None, f"it was made of {batch.size} records and has {len(records)}")
    ends = (records[0].record.id, records[-1].record.id) if records else ("", "")
    if ends != (batch.first, batch.last):
        return Fault(batch.sequence, None, "its first or last record is another one")
    return None


def _unchanged(batch: Batch, records: Sequence[Kept]) -> Fault | None:
    for one in records:
        if len(one.digests) != len(PARTS):
            return Fault(batch.sequence, one.record.id, "changed since it was written: its digests")
        if changed := changed_parts(one):
            return Fault(batch.sequence, one.record.id, f"changed since it was written: {', '.join(changed)}")
        if one.digest != digest_of(one.record, one.digests):
            return Fault(batch.sequence, one.record.id, "changed since it was written: its id, time, tenant or digests")
    return None


def _digest(sequence: int, previous: str, at: datetime, digests: Sequence[str]) -> str:
    added = at.astimezone(UTC).isoformat(timespec="microseconds")
    return hashlib.sha256(msgspec.json.encode([sequence, previous, added, digests])).hexdigest()
