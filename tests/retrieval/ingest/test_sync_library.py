"""A folder brought into a real library, run after run: what its callers find is what the folder says now."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from retrieval.acl import Access, Principal
from retrieval.ingest.sources import FolderSource
from retrieval.ingest.sync import Report, synchronise
from tests.retrieval.shelf import ANA, HANNEKE, Shelf, shelf

STAFF: Mapping[str, Mapping[str, object]] = {"**": {"allow": ["group:staff"]}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "docs"
    made.mkdir()
    write(made, {"a.md": "# Refunds\n\nRefunds take 45 days.", "b.md": "Refunds of shoes.", "c.md": "Refunds of hats."})
    return made


def write(folder: Path, files: Mapping[str, str], rules: Mapping[str, Mapping[str, object]] = STAFF) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)
    listed = [{"match": f"/{match}", **rule} for match, rule in rules.items()]
    (folder / "twinpin.yaml").write_bytes(msgspec.json.encode({"tenant": "acme", "origin": "docs", "rules": listed}))


async def ingest(made: Shelf, folder: Path) -> Report:
    return await synchronise(FolderSource(folder), made.documents, lambda *_: None)


def statuses(report: Report) -> dict[str, str]:
    return {one.document: one.status for one in report.outcomes}


async def test_a_second_run_parses_and_embeds_nothing_and_opens_no_model(folder: Path, tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        first = await ingest(made, folder)
        assert (first.counts, first.chunks) == ({"added": 3}, 3)
        assert await made.shown("refunds") == {"a.md", "b.md", "c.md"}
    async with shelf(tmp_path) as made:
        before = await made.catalog.sequences()
        assert (await ingest(made, folder)).counts == {"unchanged": 3}
        assert (made.parser.parsed, made.index.embedded, made.index.model) == (0, 0, None)
        assert await made.catalog.sequences() == before


async def test_each_run_makes_true_what_the_folder_says(folder: Path, tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await ingest(made, folder)
        (folder / "b.md").unlink()
        write(folder, {"a.md": "Refunds take 30 days."}, {**STAFF, "c.md": {"allow": ["group:hr"]}})
        assert statuses(await ingest(made, folder)) == {"b.md": "gone", "a.md": "updated", "c.md": "access"}
        assert (await made.shown("refunds"), await made.shown("refunds", HANNEKE)) == ({"a.md"}, {"c.md"})
        (found,) = await made.find("refunds")
        assert found.passage.text == "Refunds take 30 days."
        assert await made.catalog.tombstone("acme", "b.md") is not None

        write(folder, {"b.md": "Refunds of boots."}, {**STAFF, "c.md": {"tenant": "other"}})
        assert [(one.document, one.status) for one in (await ingest(made, folder)).outcomes] == [
            ("c.md", "moved"), ("a.md", "unchanged"), ("b.md", "added"), ("c.md", "added"),
        ]  # fmt: skip
        assert await made.shown("refunds") == {"a.md", "b.md"}
        assert await made.shown("refunds", Principal("other", "u", ANA.groups, frozenset())) == {"c.md"}
        assert (await ingest(made, folder)).counts == {"unchanged": 3}


async def test_a_file_that_broke_keeps_its_text_and_not_its_readers(folder: Path, tmp_path: Path) -> None:
    both = {"**": {"allow": ["group:staff", "group:hr"]}}
    async with shelf(tmp_path) as made:
        write(folder, {}, both)
        await ingest(made, folder)
        write(folder, {"a.md": "\x00"}, {**both, "a.md": {"allow": ["group:hr", "user:ana"]}})
        report = await ingest(made, folder)
        assert statuses(report) == {"a.md": "failed", "b.md": "unchanged", "c.md": "unchanged"}
        known = await made.catalog.get("acme", "a.md")
        assert known is not None
        assert known.access == Access("acme", frozenset({"group:hr"}))
        assert await made.shown("refunds") == {"b.md", "c.md"}
        assert await made.shown("refunds", HANNEKE) == {"a.md", "b.md", "c.md"}


async def test_a_document_whose_readers_are_not_said_any_more_is_found_by_nobody(folder: Path, tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await ingest(made, folder)
        write(folder, {}, {**STAFF, "a.md": {"allow": []}})
        for _ in range(2):
            assert statuses(await ingest(made, folder))["a.md"] == "refused"
            assert await made.shown("refunds") == {"b.md", "c.md"}
        write(folder, {})
        assert statuses(await ingest(made, folder))["a.md"] == "access"
        assert await made.shown("refunds") == {"a.md", "b.md", "c.md"}


async def test_another_source_takes_nothing_from_this_one(folder: Path, tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await ingest(made, folder)
        theirs = tmp_path / "theirs"
        theirs.mkdir()
        (theirs / "a.md").write_text("Refunds of theirs.")
        (theirs / "twinpin.yaml").write_text('tenant: acme\nrules: [{match: "**", allow: ["group:hr"]}]')
        (refused,) = (await ingest(made, theirs)).outcomes
        assert (refused.status, refused.code) == ("refused", "origin_conflict")
        assert await made.shown("refunds") == {"a.md", "b.md", "c.md"}
