"""Finding past some documents is finding in an index that never had them."""

from collections.abc import Collection
from pathlib import Path

import msgspec
import pytest

from retrieval.acl import Access, Principal, access_filter
from retrieval.embed import HASH
from retrieval.findings import Findings
from retrieval.index import Embedding, Fusion
from retrieval.sparse import Bm25Encoder
from retrieval.store import HybridQuery, Narrowing
from retrieval.stores.withheld import Withheld
from tests.retrieval.shelf import ANA, HR, RECIPE, STAFF, Shelf, new, shelf

GONE = ("refunds.md", "returns.md")
WORDS = " ".join(f"word{n}" for n in range(60))
TEXTS = {
    **{name: f"# Refunds\n\nA refund within 45 days. {WORDS}\n\nHow many days for a refund: {WORDS}" for name in GONE},
    **{f"other-{n}.md": f"A refund {' '.join(f'filler{n}x{part}' for part in range(n + 1))}." for n in range(12)},
}
# Dense alone: BM25 counts in how many chunks a word stands, and those withheld are still there.
FEW = msgspec.structs.replace(
    RECIPE, candidates=3, fusion=Fusion("convex", 1.0, 0.0), embedder=Embedding(HASH, "", "", 1024)
)


async def put(made: Shelf, names: Collection[str], access: Access = STAFF) -> None:
    await made.documents.put([new(name, TEXTS[name], access) for name in names])


async def find(made: Shelf, *, without: bool, who: Principal = ANA, limit: int = 3) -> Findings:
    index = made.index
    held = sum([await index.store.holds("acme", name) for name in GONE])
    finder = index.finder(store=Withheld(index.store, frozenset(GONE), held) if without else None)
    return await finder.find("a refund within how many days", access_filter(who), Narrowing(), limit=limit)


@pytest.mark.parametrize("limit", [1, 3, 8])
async def test_what_is_found_and_how_sure_is_as_if_they_had_never_been_there(tmp_path: Path, limit: int) -> None:
    async with shelf(tmp_path / "with", FEW) as made:
        await put(made, TEXTS)
        whole = await find(made, without=False, limit=limit)
        assert {one.passage.ref.document for one in whole.passages} & set(GONE), "the control"
        found = await find(made, without=True, limit=limit)
    async with shelf(tmp_path / "never", FEW) as other:
        await put(other, [name for name in TEXTS if name not in GONE])
        never = await find(other, without=False, limit=limit)
    assert [one.passage.ref for one in found.passages] == [one.passage.ref for one in never.passages]
    assert found.confidence == pytest.approx(never.confidence)
    assert found.confidence < whole.confidence
    assert (found.violations, found.stale) == (0, 0), "they are not found and then dropped"


async def test_legs_are_as_long_as_was_asked_for(tmp_path: Path) -> None:
    async with shelf(tmp_path, FEW) as made:
        await put(made, TEXTS)
        dense = await made.index.embedder.embed_query("a refund")
        query = HybridQuery(dense, Bm25Encoder(FEW.bm25).query("a refund"), 4)
        legs = await Withheld(made.index.store, frozenset(GONE), 9).score(query, access_filter(ANA), Narrowing())
        assert (len(legs.dense), len(legs.sparse)) == (4, 4)
        assert legs.cosine.keys() == {chunk for chunk, _ in (*legs.dense, *legs.sparse)}


async def test_where_nothing_else_is_there_nothing_is_found(tmp_path: Path) -> None:
    async with shelf(tmp_path, FEW) as made:
        await put(made, GONE)
        assert (await find(made, without=False)).passages
        nothing = await find(made, without=True)
        assert (nothing.passages, nothing.confidence) == ((), 0.0)


async def test_nobody_sees_more_for_what_is_withheld(tmp_path: Path) -> None:
    async with shelf(tmp_path, FEW) as made:
        await put(made, GONE)
        await put(made, [name for name in TEXTS if name not in GONE], HR)
        assert (await find(made, without=True)).passages == ()
        assert (
            len((await find(made, without=True, who=Principal("acme", "h", frozenset({"hr"}), frozenset()))).passages)
            == 3
        )
