"""Sums of what tenants used, on SQLite and on PostgreSQL."""

import asyncio
from datetime import date

import pytest
from structlog.testing import capture_logs

from gateway.limits.admission import Spending
from gateway.usage import UsageBook
from retrieval.catalog import Catalog
from retrieval.errors import CatalogError
from retrieval.sql.usage import UsageLedger, Used, UsedBy
from serving.cost import Tokens

MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)


async def test_sums_grow_whoever_adds_to_them(catalog: Catalog) -> None:
    ledgers = [UsageLedger(catalog) for _ in range(3)]
    counted = {UsedBy("acme", MONDAY, "mdl-a"): Used(1, 10, 2, 3, 40), UsedBy("acme", MONDAY, ""): Used(1)}
    await asyncio.gather(*(ledger.add(counted) for ledger in ledgers for _ in range(5)))
    await ledgers[0].add({UsedBy("acme", TUESDAY, "mdl-b"): Used(1, 1 << 40, 1, 0, 1 << 60)})
    await ledgers[0].add({UsedBy("other", MONDAY, "mdl-a"): Used(7)})
    assert await ledgers[1].since("acme", MONDAY) == [
        (UsedBy("acme", TUESDAY, "mdl-b"), Used(1, 1 << 40, 1, 0, 1 << 60)),
        (UsedBy("acme", MONDAY, ""), Used(15)),
        (UsedBy("acme", MONDAY, "mdl-a"), Used(15, 150, 30, 45, 600)),
    ]
    assert [by.day for by, _ in await ledgers[1].since("acme", TUESDAY)] == [TUESDAY]


async def test_what_cannot_be_written_is_written_later_and_once(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = UsageLedger(catalog)
    book, add = UsageBook(ledger, today=lambda: MONDAY), ledger.add

    async def gone(counted: object) -> None:
        raise CatalogError("the catalog database does not answer")

    monkeypatch.setattr(ledger, "add", gone)
    with capture_logs() as logged:
        for _ in range(3):
            book.count("acme", Spending("mdl-a", Tokens(10, 2, 4), 0.000014))
            await book.write()
    assert [line["event"] for line in logged] == ["usage_not_written"], "said once"
    monkeypatch.setattr(ledger, "add", add)
    book.count("acme", Spending())
    for _ in range(2):
        assert await book.since("acme", MONDAY) == [
            (UsedBy("acme", MONDAY, ""), Used(1)),
            (UsedBy("acme", MONDAY, "mdl-a"), Used(3, 30, 6, 12, 42_000)),
        ]
