"""A folder and its rules: which files are documents, and who the rules say may read each."""

import os
from datetime import date
from pathlib import Path

import pytest

from retrieval.acl import Access
from retrieval.errors import AccessMissing, SourceError, SupersedesItself
from retrieval.ingest.sources import FolderSource, Rule, SourceDocument
from retrieval.ingest.sources.document import LARGEST, version_of
from retrieval.ingest.sources.folder import FileContent

RULES = """
tenant: acme
rules:
  - {match: "**", allow: ["group:staff"], category: note}
  - {match: "hr/**", allow: ["group:hr"], deny: ["user:eve"]}
  - {match: "hr/open.md", allow: ["group:staff", "user:ana"], updated: 2026-02-03, expires: 2027-02-03,
     supersedes: hr/old.md, title: Open}
  - {match: "*.txt", category: log, tenant: other}
"""

SPURIOUS = (
    "", " https://a.example/{id}", "javascript:{id}", "{id}:x", "data:,{id}", "file:///{id}", "//a.example/{id}",
    "https:///{id}", "https://a.example/{name}", "java\\tscript:{id}", "http://[a/{id}",
)  # fmt: skip


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
    assert by_id(folder)["hr/open.md"].content.read() == b"hr/open.md"


def test_later_rules_override_field_by_field(folder: Path) -> None:
    documents = by_id(folder)
    assert documents["a.md"].access() == Access("acme", frozenset({"group:staff"}))
    assert documents["hr/secret.md"].access() == Access("acme", frozenset({"group:hr"}), frozenset({"user:eve"}))
    opened = documents["hr/open.md"]
    assert opened.access() == Access("acme", frozenset({"group:staff", "user:ana"}), frozenset({"user:eve"}))
    new = opened.new()
    assert (new.id, new.name, new.raw, new.origin) == ("hr/open.md", "open.md", b"hr/open.md", opened.origin)
    assert (new.title, new.category, new.supersedes) == ("Open", "note", "hr/old.md")
    assert (new.updated, new.expires) == (date(2026, 2, 3), date(2027, 2, 3))
    assert documents["deep/er/b.txt"].access().tenant == "other"


def test_hidden_files_links_and_rules_are_no_documents(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.md").write_text("of somebody else")
    (folder / "link.md").symlink_to(outside / "secret.md")
    (folder / "linked").symlink_to(outside)
    (folder / ".hidden.md").write_text("x")
    (folder / ".git").mkdir()
    (folder / ".git" / "config.md").write_text("x")
    assert list(by_id(folder)) == ["a.md", "deep/er/b.txt", "hr/open.md", "hr/secret.md"]


def test_a_name_that_is_not_utf8_gets_an_id_that_can_be_stored_and_shown(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.md")).write_text("text")
    document = by_id(folder)["caf\\xe9.md"]
    assert (document.content.read(), document.access().tenant, document.name) == (b"text", "acme", "caf\\xe9.md")


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ('rules: [{match: "**", allow: ["group:a"]}]', "has no tenant"),
        ('tenant: acme\nrules: [{match: "b", allow: ["group:a"]}]', "has no allow list"),
        ('tenant: acme\nrules: [{match: "**", allow: []}]', "has no allow list"),
        ('tenant: acme\nrules: [{match: "**", allow: ["staff"]}]', "grants 'staff'"),
        ('tenant: acme\nrules: [{match: "**", allow: ["group:a"], deny: ["everyone"]}]', "grants 'everyone'"),
        ('tenant: acme\nrules: [{match: "**", allow: ["group:"]}]', "grants 'group:'"),
        ('tenant: acme\nrules: [{match: "**", allow: ["group: a"]}]', "grants 'group: a'"),
        ('tenant: acme\nrules: [{match: "**", allow: ["group:a"], deny: ["user:rene\u0301"]}]', "grants 'user:rene"),
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
        (b"prefix: ../x\nrules: []", "the prefix '../x'"),
        (b'prefix: ""\nrules: []', "the prefix ''"),
        (b"prefix: /x\nrules: []", "the prefix '/x'"),
        (b'origin: ""\nrules: []', "the origin ''"),
        (b'origin: "a "\nrules: []', "the origin 'a '"),
        *((f'source: "{url}"\nrules: []'.encode(), "the source") for url in SPURIOUS),
        *((f'rules: [{{match: "a", source: "{url}"}}]'.encode(), "the source") for url in SPURIOUS),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(folder: Path, rules: bytes, told: str) -> None:
    (folder / "twinpin.yaml").write_bytes(rules)
    with pytest.raises(SourceError, match=told):
        FolderSource(folder)


def test_rules_of_a_folder_below_are_refused_not_ignored(folder: Path) -> None:
    (folder / "deep" / "twinpin.yaml").write_text("rules: []")
    with pytest.raises(SourceError, match=r"'deep/twinpin\.yaml' would have no effect"):
        FolderSource(folder).documents()


@pytest.mark.parametrize("prefix", ["sites/leeds", "sites/leeds/"])
def test_a_prefix_goes_before_every_id_as_a_folder_would(folder: Path, prefix: str) -> None:
    (folder / "twinpin.yaml").write_text(f"prefix: {prefix}\n{RULES}")
    documents = by_id(folder)
    assert list(documents)[:2] == ["sites/leeds/a.md", "sites/leeds/deep/er/b.txt"]
    assert documents["sites/leeds/hr/secret.md"].access().allow == {"group:hr"}


def test_folders_are_told_apart_by_their_place_or_by_name(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other") / folder.name
    other.mkdir()
    (other / "twinpin.yaml").write_text(RULES)
    assert FolderSource(folder).origin == FolderSource(folder / "hr" / "..").origin != FolderSource(other).origin
    for one in (folder, other):
        (one / "twinpin.yaml").write_text(f"origin: handbook\n{RULES}")
    assert FolderSource(folder).origin == FolderSource(other).origin == "handbook"


@pytest.mark.parametrize(
    ("source", "name", "url"),
    [
        (None, "policies/a-1.md", "policies/a-1.md"),
        (None, "a b/ü?#%.md", "a%20b/%C3%BC%3F%23%25.md"),
        (None, "javascript:alert(1).md", "javascript%3Aalert%281%29.md"),
        ("https://wiki.example/{id}", "hr/ü 1.md", "https://wiki.example/hr/%C3%BC%201.md"),
        ("/docs/{id}?v=1", "a&b.md", "/docs/a%26b.md?v=1"),
        ("http://wiki.example:8080/bücher/42#top", "a.md", "http://wiki.example:8080/b%C3%BCcher/42#top"),
    ],
)
def test_a_source_is_a_url_whatever_the_name(source: str | None, name: str, url: str) -> None:
    document = SourceDocument(name, name, "docs", Rule(name, source=source), FileContent(name, Path(name)))
    assert document.url() == url


def test_a_rule_decides_before_the_folder_where_a_document_opens(folder: Path) -> None:
    told = "source: 'https://a.example/{id}'\nrules: [{match: 'hr/**', source: 'https://hr.example/x'}]"
    (folder / "twinpin.yaml").write_text(told)
    documents = by_id(folder)
    assert documents["a.md"].url() == "https://a.example/a.md"
    assert documents["hr/open.md"].url() == "https://hr.example/x"


def test_a_folder_without_rules_or_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has no twinpin\.yaml"):
        FolderSource(tmp_path)
    with pytest.raises(SourceError, match="'none' is not a folder"):
        FolderSource(tmp_path / "none")


def test_what_cannot_be_read_is_named(folder: Path) -> None:
    documents = by_id(folder)
    (folder / "a.md").unlink()
    with pytest.raises(SourceError, match=r"'a\.md' vanished"):
        documents["a.md"].content.read()
    (folder / "a.md").mkdir()
    with pytest.raises(SourceError, match=r"'a\.md' cannot be read: Is a directory"):
        documents["a.md"].content.version()
    with (folder / "hr" / "open.md").open("wb") as file:
        file.truncate(LARGEST + 1)
    for asked in (documents["hr/open.md"].content.read, documents["hr/open.md"].content.version):
        with pytest.raises(SourceError, match=r"'hr/open\.md' is larger than 64 MiB"):
            asked()


def test_a_version_is_of_the_bytes_alone(folder: Path) -> None:
    content = by_id(folder)["a.md"].content
    assert content.version() == version_of(b"a.md") == version_of(content.read())


def test_a_file_that_became_a_link_since_it_was_listed_is_not_followed(folder: Path) -> None:
    document = by_id(folder)["a.md"]
    (folder / "a.md").unlink()
    (folder / "a.md").symlink_to("hr/secret.md")
    for asked in (document.content.read, document.content.version):
        with pytest.raises(SourceError, match=r"'a\.md' cannot be read"):
            asked()


def test_a_document_that_supersedes_itself_is_refused_by_name(folder: Path) -> None:
    (folder / "twinpin.yaml").write_text('tenant: a\nrules: [{match: "**", allow: ["group:a"], supersedes: a.md}]')
    with pytest.raises(SupersedesItself, match=r"'a\.md' supersedes itself"):
        by_id(folder)["a.md"].described()
    assert by_id(folder)["hr/open.md"].described().supersedes == "a.md"
