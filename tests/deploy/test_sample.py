"""The sample corpus keeps its promises: formats, access, golden facts, and binaries that can be written again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import docx
import pypdfium2
import pytest
import yaml
from docx.table import Table

SAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "sample"
DOCUMENTS = SAMPLE / "documents"
GROUPS = {
    "tallis": {"group:staff", "group:hr", "group:engineering", "group:legal", "group:finance"},
    "corvane": {"group:clinic", "group:billing"},
}


@dataclass(slots=True)
class Rules:
    """What the rules say of one document, read here without the product's code."""

    tenant: str = ""
    allow: list[str] = field(default_factory=list)
    deny: list[str] = field(default_factory=list)
    category: str = ""
    title: str = ""
    updated: object = None
    supersedes: str = ""

    def permits(self, caller: Mapping[str, Any]) -> bool:
        grants = {f"user:{caller['subject']}", *(f"group:{group}" for group in caller["groups"])}
        return caller["tenant"] == self.tenant and not grants.isdisjoint(self.allow) and grants.isdisjoint(self.deny)


@cache
def corpus() -> dict[str, Rules]:
    names = sorted(path.relative_to(DOCUMENTS).as_posix() for path in DOCUMENTS.rglob("*") if path.is_file())
    rules = yaml.safe_load((DOCUMENTS / "twinpin.yaml").read_text("utf-8"))["rules"]
    return {name: ruled(name, rules) for name in names if name != "twinpin.yaml"}


def ruled(name: str, rules: list[dict[str, Any]]) -> Rules:
    fields: dict[str, Any] = {}
    for rule in rules:
        if re.fullmatch(re.escape(rule["match"]).replace(r"\*\*", ".*").replace(r"\*", "[^/]*"), name):
            fields |= {key: value for key, value in rule.items() if key != "match"}
    return Rules(**fields)


@cache
def callers() -> dict[str, Mapping[str, Any]]:
    return {c["name"]: c for c in yaml.safe_load((SAMPLE / "callers.yaml").read_text("utf-8"))["callers"]}


def golden() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SAMPLE / "golden.jsonl").read_text("utf-8").splitlines()]


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@cache
def text_of(name: str) -> str:
    path = DOCUMENTS / name
    match path.suffix:
        case ".pdf":
            return _squeezed(" ".join(_pages(path)))
        case ".docx":
            return _squeezed(" ".join(_paragraphs(path)))
        case ".html":
            words = _Words()
            words.feed(path.read_text("utf-8"))
            return _squeezed("".join(words.words))
        case _:
            return path.read_text("utf-8").casefold()


def _pages(path: Path) -> Iterator[str]:
    with pypdfium2.PdfDocument(path) as document:
        for page in document:
            yield page.get_textpage().get_text_range()


def _paragraphs(path: Path) -> Iterator[str]:
    for block in docx.Document(str(path)).iter_inner_content():
        if isinstance(block, Table):
            yield from (cell.text for row in block.rows for cell in row.cells)
        else:
            yield block.text


def _squeezed(text: str) -> str:
    return " ".join(text.split()).casefold()


def test_counts_and_formats() -> None:
    formats = Counter(name.rsplit(".", 1)[1] for name in corpus())
    assert 40 <= len(corpus()) <= 44
    assert formats.keys() == {"md", "html", "pdf", "docx", "txt"}
    assert formats["pdf"] >= 4
    assert formats["docx"] >= 4
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file()) < 1_000_000


def test_every_document_is_substantial() -> None:
    short = [name for name in corpus() if len(text_of(name).split()) < 250]
    assert not short


def test_every_document_has_access_and_metadata() -> None:
    for name, rules in corpus().items():
        assert rules.tenant == name.split("/", 1)[0]
        assert all((rules.allow, rules.category, rules.updated)), name
        groups = {grant for grant in [*rules.allow, *rules.deny] if grant.startswith("group:")}
        assert groups <= GROUPS[rules.tenant], name


def test_every_group_of_both_tenants_has_documents() -> None:
    for tenant, groups in GROUPS.items():
        used = {grant for rules in corpus().values() if rules.tenant == tenant for grant in rules.allow}
        assert groups <= used
    assert sum(rules.tenant == "corvane" for rules in corpus().values()) == 9
    assert sum(bool(rules.deny) for rules in corpus().values()) >= 2


def test_front_matter_agrees_with_the_rules_and_carries_no_access() -> None:
    for name, rules in corpus().items():
        raw = (DOCUMENTS / name).read_bytes()
        if not raw.startswith(b"---\n"):
            continue
        front = yaml.safe_load(raw.split(b"---\n")[1])
        assert front.keys() == {"title", "updated", "category"}, name
        assert (front["updated"], front["category"]) == (rules.updated, rules.category), name


def test_a_superseding_document_differs_from_an_older_one_of_its_tenant() -> None:
    pairs = {name: rules for name, rules in corpus().items() if rules.supersedes}
    assert len(pairs) >= 4
    for name, rules in pairs.items():
        old = corpus()[rules.supersedes]
        assert (old.tenant, old.allow) == (rules.tenant, rules.allow)
        assert str(old.updated) < str(rules.updated)
        facts = [fact for row in golden() if name in row["documents"] for fact in row["facts"]]
        assert [fact for fact in facts if fact.casefold() not in text_of(rules.supersedes)], name


def test_callers_have_no_keys_and_known_groups() -> None:
    for caller in callers().values():
        assert caller.keys() == {"name", "tenant", "subject", "groups", "scopes"}
        assert caller["scopes"] == ["ask", "search", "feedback"]
        assert {f"group:{group}" for group in caller["groups"]} <= GROUPS[caller["tenant"]]


def test_golden_has_enough_of_each_kind() -> None:
    rows = golden()
    refused = [row for row in rows if not row["answerable"]]
    assert len(rows) >= 75
    assert len({row["id"] for row in rows}) == len(rows)
    assert len(refused) >= max(26, len(rows) / 3)
    assert {row["why"] for row in refused} == {"missing", "not_permitted"}
    for kind in ("missing", "not_permitted", None):
        splits = Counter(row["split"] for row in rows if row["why"] == kind)
        assert 0.35 <= splits["dev"] / splits.total() <= 0.45


def test_the_same_question_has_different_outcomes_for_different_callers() -> None:
    outcomes: dict[str, set[bool]] = {}
    for row in golden():
        outcomes.setdefault(row["question"], set()).add(row["answerable"])
    assert sum(len(seen) == 2 for seen in outcomes.values()) >= 10


@pytest.mark.parametrize("row", golden(), ids=lambda row: row["id"])
def test_golden_question(row: dict[str, Any]) -> None:
    caller = callers()[row["caller"]]
    if row["answerable"]:
        _check_answerable(row, caller)
    else:
        _check_refused(row, caller)


def _check_answerable(row: dict[str, Any], caller: Mapping[str, Any]) -> None:
    assert row["documents"]
    assert row["facts"]
    assert row["why"] is None
    assert "forbidden" not in row
    superseded = {rules.supersedes for rules in corpus().values()}
    for name in row["documents"]:
        assert corpus()[name].permits(caller)
        assert name not in superseded
        assert [fact for fact in row["facts"] if fact.casefold() not in text_of(name)] == [], name


def _check_refused(row: dict[str, Any], caller: Mapping[str, Any]) -> None:
    assert row["documents"] == []
    assert row["facts"] == []
    assert ("forbidden" in row) == (row["why"] == "not_permitted")
    for name in row.get("forbidden", []):
        assert not corpus()[name].permits(caller)
        assert any(corpus()[name].permits(other) for other in callers().values()), name


def test_one_document_holds_instructions_aimed_at_the_model() -> None:
    hostile = [name for name in corpus() if "ignore all previous" in _squeezed(text_of(name))]
    assert hostile == ["tallis/support/tickets/48213-northline-sftp.txt"]


def test_the_table_heavy_pdf_spans_pages() -> None:
    with pypdfium2.PdfDocument(DOCUMENTS / "tallis/product/rate-card-2026.pdf") as document:
        assert len(document) == 3


def test_binaries_are_written_again_byte_for_byte(tmp_path: Path) -> None:
    subprocess.run([sys.executable, SAMPLE / "make_binaries.py", "--out", tmp_path], check=True)
    written = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert written.keys() == {name for name in corpus() if name.endswith((".pdf", ".docx"))}
    for name, content in written.items():
        assert content == (DOCUMENTS / name).read_bytes(), name
