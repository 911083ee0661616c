"""Whatever is done to a chain behind its back is found; what is erased by its parts is not taken for that."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from retrieval.records.chain import EMPTY, Batch, Checker, Fault, Head, next_batch
from retrieval.records.erased import erasures
from retrieval.records.record import PARTS, Kept, Part, Record, digest_of, part, part_digests

START = datetime(2026, 11, 21, 10, tzinfo=UTC)
Chain = list[tuple[Batch, list[Kept]]]


def a_record(rng: random.Random, number: int) -> Record:
    read = rng.random() < 0.5
    return Record(
        id=f"ans_{number:06}",
        kind=rng.choice(["answer", "feedback"]),
        created=START + timedelta(seconds=number),
        tenant=rng.choice(["acme", "other"]),
        subject=f"user-{rng.randrange(4)}",
        facts=part({"outcome": rng.choice(["answered", "review"])}),
        person=part({"user": None}),
        sources=part({"passages": [number]}) if read else None,
        words=rng.choice([None, part({"answer": f"words {number}"})]),
        documents=("a.md",) if read else (),
        review=rng.random() < 0.3,
    )


def kept(record: Record, batch: int, n: int) -> Kept:
    digests = part_digests(record)
    return Kept(record, batch, n, digests, digest_of(record, digests))


def without(one: Kept, name: Part) -> Kept:
    """As an erasure leaves it; what goes with a part goes too."""
    beside: dict[str, dict[str, object]] = {"person": {"subject": None}, "sources": {"documents": ()}}
    gone: dict[str, object] = {name: None, **beside.get(name, {})}
    return replace(one, record=msgspec.structs.replace(one.record, **gone))


def there(one: Kept) -> list[Part]:
    return [name for name in PARTS if getattr(one.record, name) is not None]


def erase_some(rng: random.Random, chain: Chain) -> None:
    """Take a part of some records, and add the erasure that says so."""
    _, rows = chain[rng.randrange(len(chain))]
    name: Part = rng.choice(["person", "sources", "words"])
    rows[:] = [without(one, name) for one in rows]
    named = [(one.record.tenant, one.record.id) for one in rows]
    add_batch(chain, erasures(named, [name], "document", START))


def add_batch(chain: Chain, records: list[Record]) -> None:
    head = chain[-1][0].head if chain else EMPTY
    rows = [kept(one, head.sequence + 1, n) for n, one in enumerate(records)]
    chain.append((next_batch(head, [(one.record.id, one.digest) for one in rows], START), rows))


def a_chain(rng: random.Random, batches: int = 5, most: int = 4) -> Chain:
    chain: Chain = []
    number = 0
    for _ in range(batches - 1):
        count = rng.randint(1, most)
        add_batch(chain, [a_record(rng, number + n) for n in range(count)])
        number += count
    erase_some(rng, chain)
    return chain


def fault_of(chain: Chain, *heads: Head) -> Fault | None:
    checker = Checker(heads)
    for batch, rows in chain:
        if fault := checker.check(batch, rows):
            return fault
    return checker.finish()


def place(rng: random.Random, chain: Chain) -> tuple[int, int]:
    at = rng.randrange(len(chain))
    return at, rng.randrange(len(chain[at][1]))


def delete_record(rng: random.Random, chain: Chain) -> None:
    at, n = place(rng, chain)
    del chain[at][1][n]


def delete_and_renumber(rng: random.Random, chain: Chain) -> None:
    at, n = place(rng, chain)
    batch, rows = chain[at]
    del rows[n]
    rows[:] = [replace(one, n=new) for new, one in enumerate(rows)]
    ends = (rows[0].record.id, rows[-1].record.id) if rows else ("", "")
    chain[at] = replace(batch, size=len(rows), first=ends[0], last=ends[1]), rows


def delete_batch(rng: random.Random, chain: Chain) -> None:
    del chain[rng.randrange(len(chain))]


def delete_batch_and_renumber(rng: random.Random, chain: Chain) -> None:
    del chain[rng.randrange(len(chain))]
    for at, (batch, rows) in enumerate(chain):
        chain[at] = replace(batch, sequence=at + 1), [replace(one, batch=at + 1) for one in rows]


def truncate(rng: random.Random, chain: Chain) -> None:
    del chain[rng.randrange(len(chain)) :]


def swap_records(rng: random.Random, chain: Chain) -> None:
    """Two records change places, in a batch or between batches, and are numbered by where they stand now."""
    (a, n), (b, m) = place(rng, chain), place(rng, chain)
    while (a, n) == (b, m):
        b, m = place(rng, chain)
    one, other = chain[a][1][n], chain[b][1][m]
    chain[a][1][n] = replace(other, batch=one.batch, n=one.n)
    chain[b][1][m] = replace(one, batch=other.batch, n=other.n)


def swap_batches(rng: random.Random, chain: Chain) -> None:
    a, b = rng.sample(range(len(chain)), 2)
    chain[a], chain[b] = chain[b], chain[a]


def duplicate_record(rng: random.Random, chain: Chain) -> None:
    at, n = place(rng, chain)
    batch, rows = chain[at]
    rows.insert(n, rows[n])
    rows[:] = [replace(one, n=new) for new, one in enumerate(rows)]
    chain[at] = replace(batch, size=len(rows)), rows


def duplicate_batch(rng: random.Random, chain: Chain) -> None:
    at = rng.randrange(len(chain))
    batch, rows = chain[at]
    chain.append((replace(batch, sequence=len(chain) + 1), [replace(one, batch=len(chain) + 1) for one in rows]))


def insert_record(rng: random.Random, chain: Chain) -> None:
    at, _ = place(rng, chain)
    batch, rows = chain[at]
    rows.append(kept(a_record(rng, 900_000), batch.sequence, len(rows)))
    chain[at] = replace(batch, size=len(rows), last=rows[-1].record.id), rows


def edit_part(rng: random.Random, chain: Chain) -> None:
    at, n = place(rng, chain)
    one = chain[at][1][n]
    name = rng.choice(there(one))
    edited = msgspec.structs.replace(one.record, **{name: part({"answer": "another"})})
    chain[at][1][n] = replace(one, record=edited)


def edit_part_and_its_digests(rng: random.Random, chain: Chain) -> None:
    at, n = place(rng, chain)
    edited = msgspec.structs.replace(chain[at][1][n].record, facts=part({"outcome": "another"}))
    chain[at][1][n] = kept(edited, at + 1, n)


def take_part(rng: random.Random, chain: Chain) -> None:
    at, n = place(rng, chain)
    one = chain[at][1][n]
    chain[at][1][n] = without(one, rng.choice(there(one)))


def cut_digests(rng: random.Random, chain: Chain) -> None:
    at, n = place(rng, chain)
    one = chain[at][1][n]
    chain[at][1][n] = replace(one, digests=one.digests[: rng.randrange(len(PARTS))])


def edit_field(rng: random.Random, chain: Chain) -> None:
    at, n = place(rng, chain)
    one = chain[at][1][n]
    changed: dict[str, Any] = rng.choice(
        [
            {"id": "ans_x"},
            {"created": one.record.created + timedelta(microseconds=1)},
            {"tenant": "third"},
            {"subject": "somebody"},
            {"documents": ("b.md",)},
            {"review": not one.record.review},
            {"about": "ans_y"},
            {"kind": "decision"},
        ]
    )
    chain[at][1][n] = replace(one, record=msgspec.structs.replace(one.record, **changed))


def edit_batch(rng: random.Random, chain: Chain) -> None:
    at = rng.randrange(len(chain))
    batch, rows = chain[at]
    changed: dict[str, Any] = rng.choice(
        [
            {"previous": "f" * 64},
            {"digest": "f" * 64},
            {"size": batch.size + 1},
            {"last": "ans_z"},
            {"at": batch.at + timedelta(1)},
        ]
    )
    chain[at] = replace(batch, **changed), rows


def make_anew_from_somewhere(rng: random.Random, chain: Chain) -> None:
    """Whoever can write the database can also compute digests: all from an edited record on."""
    at, n = place(rng, chain)
    edit_part_and_its_digests(rng, chain)
    head = chain[at - 1][0].head if at else EMPTY
    edited = msgspec.structs.replace(chain[at][1][n].record, facts=part({"outcome": "another"}))
    chain[at][1][n] = kept(edited, at + 1, n)
    for later in range(at, len(chain)):
        rows = chain[later][1]
        batch = next_batch(head, [(one.record.id, one.digest) for one in rows], START)
        chain[later] = batch, rows
        head = batch.head


TAMPERINGS: list[Callable[[random.Random, Chain], None]] = [
    delete_record,
    delete_and_renumber,
    delete_batch,
    delete_batch_and_renumber,
    truncate,
    swap_records,
    swap_batches,
    duplicate_record,
    duplicate_batch,
    insert_record,
    edit_part,
    edit_part_and_its_digests,
    take_part,
    cut_digests,
    edit_field,
    edit_batch,
    make_anew_from_somewhere,
]
EACH = -(-10_000 // len(TAMPERINGS))


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda one: one.__name__)
def test_ten_thousand_tampered_chains_are_all_found(tamper: Callable[[random.Random, Chain], None]) -> None:
    rng = random.Random(5)
    for _ in range(EACH):
        chain = a_chain(rng)
        head = chain[-1][0].head
        assert fault_of(chain, head) is None, "the control: before anybody touches it, it holds"
        tamper(rng, chain)
        assert fault_of(chain, head) is not None


def test_a_fault_names_the_batch_and_the_record() -> None:
    chain = a_chain(random.Random(1), most=3)
    at, rows = 2, chain[2][1]
    rows[0] = replace(rows[0], record=msgspec.structs.replace(rows[0].record, facts=part({"outcome": "another"})))
    fault = fault_of(chain)
    assert fault is not None
    assert (fault.batch, fault.record) == (at + 1, rows[0].record.id)
    assert "facts" in fault.told


def test_what_is_erased_by_parts_leaves_the_chain_whole() -> None:
    rng = random.Random(2)
    for _ in range(200):
        chain = a_chain(rng)
        for _ in range(3):
            erase_some(rng, chain)
        assert fault_of(chain, chain[-1][0].head) is None


@pytest.mark.parametrize("named", [["words"], ["facts", "sources"], []])
def test_an_erasure_speaks_for_what_it_names_alone(named: list[Part]) -> None:
    chain: Chain = []
    add_batch(chain, [a_record(random.Random(4), n) for n in range(2)])
    rows = chain[0][1]
    rows[1] = without(without(rows[1], "facts"), "person")
    add_batch(chain, erasures([(one.record.tenant, one.record.id) for one in rows], named, "age", START))
    left = ", ".join(name for name in ("facts", "person") if name not in named)
    assert fault_of(chain) == Fault(1, rows[1].record.id, f"parts are gone that no erasure names: {left}")


def test_a_chain_that_went_on_still_holds_its_earlier_heads() -> None:
    chain = a_chain(random.Random(3), batches=6)
    assert fault_of(chain, *(batch.head for batch, _ in chain)) is None
    fault = fault_of(chain[:3], chain[5][0].head)
    assert fault == Fault(4, None, "the chain ends before it, and once had 6 batches")


def test_an_empty_chain_is_whole_unless_there_was_one() -> None:
    assert fault_of([]) is None
    assert fault_of([], Head(1, "0" * 64)) is not None


def test_equal_parts_have_different_digests() -> None:
    """Nobody can tell what was erased by trying what it may have been."""
    assert part({"answer": "yes"}) != part({"answer": "yes"})
