"""How a terminal shows the passages of a record."""

import io
from typing import Any

import pytest
from rich.console import Console

from deploy.explaining import show_record

PASSAGE: dict[str, Any] = {
    "document": "a.md",
    "version": "sha256:0",
    "start": 0,
    "end": 9,
    "fused": 0.5,
    "dense": 0.5,
    "bm25": 1.0,
    "rerank": None,
}


def shown(*passages: dict[str, Any]) -> list[str]:
    record = {"id": "ans_1", "kind": "answer", "tenant": "acme", "created": "now", "erased": [], "n": 1, "batch": 1}
    told = {**record, "digest": "d", "facts": {}, "person": {}, "words": {}, "sources": {"passages": passages}}
    out = io.StringIO()
    show_record(Console(file=out, width=200), told)
    return [line.strip() for line in out.getvalue().splitlines() if "characters" in line]


@pytest.mark.parametrize("ranks", [({"rank": 1}, {"rank": 2}), ({}, {}), ({"rank": 0}, {"rank": 0})])
def test_passages_have_their_markers(ranks: tuple[dict[str, int], dict[str, int]]) -> None:
    first, second = shown(*(PASSAGE | rank for rank in ranks))
    assert first.startswith("1. a.md")
    assert second.startswith("2. a.md")
    assert "rank" not in first + second


def test_and_their_ranks_where_they_were_shown_in_another_order() -> None:
    first, second = shown(PASSAGE | {"rank": 2}, PASSAGE | {"rank": 1})
    assert first.startswith("1. a.md")
    assert first.endswith("rank 2")
    assert second.endswith("rank 1")
