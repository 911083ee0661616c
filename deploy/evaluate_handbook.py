"""A real handbook at four dates, one taken in after the other: nothing past answers, nothing is embedded twice."""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.ingesting import OpenIndexes
from deploy.pinboard import read_pinboard
from deploy.settings import Settings
from retrieval.acl import Principal, access_filter
from retrieval.catalog import Catalog
from retrieval.documents import Documents
from retrieval.index import IndexRecipe
from retrieval.ingest.sandbox import ParserPool
from retrieval.ingest.sources import RULES_FILE, FolderSource
from retrieval.ingest.sync import Report, synchronise
from retrieval.live import LiveIndex
from retrieval.opening import Place, open_live
from retrieval.store import Narrowing

DATES = ("2022-01-01", "2023-01-01", "2024-01-01", "head")
_RULES = 'tenant: handbook\norigin: handbook\nrules:\n  - {match: "**", allow: ["group:staff"]}\n'
_READER = access_filter(Principal("handbook", "reader", frozenset({"staff"}), frozenset()))
_LIMIT, _WORDS = 10, 40


@dataclass(slots=True)
class _Shelf:
    """What stands now, and a question in the words of every page that ever stood."""

    index: LiveIndex
    documents: Documents
    questions: dict[tuple[str, str], str]


def measure_handbook(data: Path) -> dict[str, dict[str, Any]]:
    """Figures for each date; a passage of another version than the page has by then makes RuntimeError."""
    board = read_pinboard(Settings().releases)
    return asyncio.run(_measure(data / "18f_handbook", board.recipes[board.pins.index.stable]))


async def _measure(data: Path, recipe: IndexRecipe) -> dict[str, dict[str, Any]]:
    figures = {}
    async with AsyncExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        catalog = await stack.enter_async_context(Catalog.open(work / "catalog.db"))
        parser = stack.enter_context(ParserPool())
        index = await open_live(recipe, Place(work / "indexes"), catalog, create=True, parser=parser)
        stack.push_async_callback(index.close)
        shelf = _Shelf(index, Documents(catalog, OpenIndexes(index, []), parser), {})
        for date in (*DATES, DATES[-1]):
            section = f"18F handbook, {date}" + (", once more" if f"18F handbook, {date}" in figures else "")
            sys.stdout.write(f"{section}\n")
            figures[section] = await _take_in(shelf, _laid_out(data / date, work / "folder"))
    return figures


def _laid_out(pages: Path, folder: Path) -> Path:
    """The same folder at another date, as a reader's checkout would be."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(pages, folder)
    (folder / RULES_FILE).write_text(_RULES, "utf-8")
    return folder


async def _take_in(shelf: _Shelf, folder: Path) -> dict[str, Any]:
    before, source = shelf.index.embedded, FolderSource(folder)
    started = time.perf_counter()
    report = await synchronise(source, shelf.documents, lambda done, total, what: None)
    seconds = time.perf_counter() - started
    embedded = shelf.index.embedded - before
    if embedded != report.chunks:
        raise RuntimeError(f"{embedded} chunks were embedded, the pages that changed have {report.chunks}")
    current = {one.id: one.content.version() for one in source.documents()}
    refused = {one.document for one in report.troubled}
    await _note_questions(shelf, current)
    shown = await _ask_everything(shelf, {name: version for name, version in current.items() if name not in refused})
    return {**_counted(report), "chunks embedded": embedded, "seconds": seconds, **shown}


async def _note_questions(shelf: _Shelf, current: Mapping[str, str]) -> None:
    catalog, parser = shelf.documents.catalog, shelf.index.recipe.parser
    for name, version in current.items():
        if (name, version) not in shelf.questions:
            text = await catalog.text("handbook", name, version, parser) or ""
            shelf.questions[name, version] = " ".join(text.split()[:_WORDS])


async def _ask_everything(shelf: _Shelf, current: Mapping[str, str]) -> dict[str, int]:
    """In the words of every page of every date so far: what is shown has to stand, and stand like that, today."""
    finder, past, passages = shelf.index.finder(), 0, 0
    for (name, version), question in shelf.questions.items():
        findings = await finder.find(question or name, _READER, Narrowing(), limit=_LIMIT)
        refs = [found.passage.ref for found in findings.passages]
        if wrong := [ref for ref in refs if current.get(ref.document) != ref.version]:
            raise RuntimeError(f"a passage of a page that does not stand any more was shown: {wrong[0]}")
        past += current.get(name) != version
        passages += len(refs)
    return {"questions in the words of pages that stand no more": past, "passages shown, all of today": passages}


def _counted(report: Report) -> dict[str, int]:
    statuses: Sequence[str] = ("added", "updated", "unchanged", "gone", "refused", "failed")
    return {f"pages {status}": report.counts.get(status, 0) for status in statuses}
