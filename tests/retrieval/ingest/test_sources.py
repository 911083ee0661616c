"""A folder and its rules: which files are documents, and who the rules say may read each."""

import os
from datetime import date
from pathlib import Path

import pytest

from retrieval.acl import Access
from retrieval.errors import AccessMissing, SourceError
from retrieval.ingest import sources
from retrieval.ingest.sources import FolderSource, SourceDocument

RULES = """
tenant: acme
rules:
  - {match: "**", allow: ["group:staff"], category: note}
  - {match: "hr/**", allow: ["group:hr"], deny: ["user:eve"]}
  - {match: "hr/open.md", allow: ["group:staff", "user:ana"], updated: 2026-02-03, supersedes: hr/old.md, title: Open}
  - {match: "*.txt", category: log, tenant: other}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.md", "hr/open.md", "hr/secret.md", "deep/er/b.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "twinpin.yaml").write_text(RULES)
    return tmp_path


def by_id(folder: Path) -> dict[str, SourceDocument]:
    return {one.id: one for one in FolderSource(folder).documents()}


def test_ids_are_paths_in_order(folder: Path) -> None:
    assert list(by_id(folder)) == ["a.md", "deep/er/b.txt", "hr/open.md", "hr/secret.md"]
    assert by_id(folder)["hr/open.md"].read() == b"hr/open.md"


def test_later_rules_override_field_by_field(folder: Path) -> None:
    documents = by_id(folder)
    assert documents["a.md"].access() == Access("acme", frozenset({"group:staff"}))
    assert documents["hr/secret.md"].access() == Access("acme", frozenset({"group:hr"}), frozenset({"user:eve"}))
    opened = documents["hr/open.md"]
    assert opened.access() == Access("acme", frozenset({"group:staff", "user:ana"}), frozenset({"user:eve"}))
    rule = opened.rule
    assert (rule.title, rule.category, rule.updated, rule.supersedes) == (
        "Open",
        "note",
        date(2026, 2, 3),
        "hr/old.md",
    )
    assert documents["deep/er/b.txt"].access().tenant == "other"


def test_hidden_files_links_and_rules_are_no_documents(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.md").write_text("of somebody else")
    (folder / "link.md").symlink_to(outside / "secret.md")
    (folder / "linked").symlink_to(outside)
    (folder / ".hidden.md").write_text("x")
    (folder / ".git").mkdir()
    (folder / ".git" / "config.md").write_text("x")
    (folder / "deep" / "twinpin.yaml").write_text("rules: []")
    assert list(by_id(folder)) == ["a.md", "deep/er/b.txt", "hr/open.md", "hr/secret.md"]


def test_a_name_that_is_not_utf8_gets_an_id_that_can_be_stored_and_shown(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.md")).write_text("text")
    document = by_id(folder)["caf\\xe9.md"]
    assert (document.read(), document.access().tenant) == (b"text", "acme")


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ('rules: [{match: "**", allow: ["group:a"]}]', "has no tenant"),
        ('tenant: acme\nrules: [{match: "b", allow: ["group:a"]}]', "has no allow list"),
        ('tenant: acme\nrules: [{match: "**", allow: []}]', "has no allow list"),
        ('tenant: acme\nrules: [{match: "**", allow: ["staff"]}]', "grants 'staff'"),
        ('tenant: acme\nrules: [{match: "**", allow: ["group:a"], deny: ["everyone"]}]', "grants 'everyone'"),
        ('tenant: acme\nrules: [{match: "**", allow: ["group:"]}]', "grants 'group:'"),
    ],
)
def test_a_document_whose_readers_are_not_said_is_refused_by_name(folder: Path, rules: str, told: str) -> None:
    (folder / "twinpin.yaml").write_text(rules)
    with pytest.raises(AccessMissing, match=told) as refused:
        by_id(folder)["a.md"].access()
    assert "'a.md'" in str(refused.value)


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        (b"", "not valid"),
        (b"rules: [", "not valid"),
        (b"\xff\xfe\x00", "not valid"),
        (b'rules: [{match: "**", allow: staff}]', "not valid"),
        (b'rules: [{match: "**", groups: [a]}]', "unknown field `groups`"),
        (b"rules: [{allow: [a]}]", "missing required field `match`"),
        (b"tenants: a\nrules: []", "unknown field `tenants`"),
        (b'rules: [{match: "**", updated: soon}]', "not valid"),
        (b'rules: [{match: "!hr/**", deny: ["user:eve"]}]', "'!hr/\\*\\*'"),
        (b'rules: [{match: "!"}]', "which is not valid"),
        (b'rules: [{match: ""}]', "matches something"),
        (b'rules: [{match: "#hr"}]', "matches something"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(folder: Path, rules: bytes, told: str) -> None:
    (folder / "twinpin.yaml").write_bytes(rules)
    with pytest.raises(SourceError, match=told):
        FolderSource(folder)


def test_a_folder_without_rules_or_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has no twinpin\.yaml"):
        FolderSource(tmp_path)
    with pytest.raises(SourceError, match="'none' is not a folder"):
        FolderSource(tmp_path / "none")


def test_what_cannot_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = by_id(folder)
    (folder / "a.md").unlink()
    with pytest.raises(SourceError, match=r"'a\.md' vanished"):
        documents["a.md"].read()
    (folder / "a.md").mkdir()
    with pytest.raises(SourceError, match=r"'a\.md' cannot be read: Is a directory"):
        documents["a.md"].read()
    monkeypatch.setattr(sources, "LARGEST", 3)
    with pytest.raises(SourceError, match=r"'hr/open\.md' is larger"):
        documents["hr/open.md"].read()
