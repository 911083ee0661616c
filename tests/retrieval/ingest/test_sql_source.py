"""The rows of a query as documents: read without a chance to write, and no message shows a secret."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from retrieval.acl import Access
from retrieval.errors import AccessMissing, SourceError
from retrieval.ingest.sources import SourceDocument, Unusable
from retrieval.ingest.sources.document import LARGEST, version_of
from retrieval.ingest.sources.query import SqlConfig, SqlSource
from retrieval.ingest.sources.secrets import Secrets

FIELDS = {"id": "id", "text": "body", "allow": "readers"}
SOME: Sequence[tuple[object, ...]] = (("a", "one", "group:staff"), ("b", "two", "group:hr, user:eve"))


class Database:
    """A SQLite file with one table, `articles`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, rows: Sequence[tuple[object, ...]], columns: str = "id, body, readers") -> None:
        with sqlite3.connect(self.path) as connection:
            connection.execute("DROP TABLE IF EXISTS articles")
            connection.execute(f"CREATE TABLE articles ({columns})")
            marks = ", ".join("?" * len(columns.split(",")))
            connection.executemany(f"INSERT INTO articles VALUES ({marks})", rows)
        connection.close()

    def source(self, **changed: Any) -> SqlSource:
        said = {
            "kind": "sql",
            "origin": "crm",
            "url": f"sqlite:///{self.path}",
            "query": "SELECT * FROM articles ORDER BY id",
            "fields": FIELDS,
            "tenant": "acme",
            **changed,
        }
        return SqlSource(msgspec.convert(said, SqlConfig), "crm.yaml", Secrets({}))


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(tmp_path / "crm 1%.db")
    made.fill(SOME)
    return made


def documents(source: SqlSource) -> dict[str, SourceDocument]:
    return {one.id: one for one in source.documents() if isinstance(one, SourceDocument)}


def test_every_row_is_a_document(database: Database) -> None:
    found = documents(database.source())
    assert list(found) == ["a", "b"]
    new = found["b"].new()
    assert (new.name, new.raw, new.origin) == ("b.txt", b"two", "crm")
    assert new.access == Access("acme", frozenset({"group:hr", "user:eve"}))
    assert found["a"].content.version() == version_of(b"one")


def test_all_fields_can_be_mapped(database: Database) -> None:
    columns = "id, body, org, can, cannot, name, kind, day, ends, older, link"
    link = "https://crm.example/{id}"
    day, ends = "2026-03-04T10:00:00Z", "2027-01-01"
    row = (7, "# T", "acme", '["group:a"]', "user:eve", "Seven", "note", day, ends, "6", link)
    database.fill([row, (8, "# U", "other", "group:a", None, None, None, None, "", None, None)], columns)
    fields = {
        "id": "id", "text": "body", "tenant": "org", "allow": "can", "deny": "cannot", "title": "name",
        "category": "kind", "updated": "day", "expires": "ends", "supersedes": "older", "source": "link",
    }  # fmt: skip
    rules = [{"match": "*", "deny": ["user:mallory"], "category": "article", "title": "Untitled"}]
    found = documents(database.source(fields=fields, tenant=None, rules=rules, format="md", prefix="crm"))
    seven, eight = (found[name].described() for name in ("crm/7", "crm/8"))
    assert seven.access == Access("acme", frozenset({"group:a"}), frozenset({"user:eve", "user:mallory"}))
    assert (seven.name, seven.title, seven.category) == ("7.md", "Seven", "note")
    assert (seven.updated, seven.expires) == (date(2026, 3, 4), date(2027, 1, 1))
    assert (seven.supersedes, seven.source) == ("crm/6", "https://crm.example/crm/7")
    assert (eight.access.tenant, eight.title, eight.category) == ("other", "Untitled", "article")
    assert eight.access.deny == {"user:mallory"}
    assert (eight.updated, eight.expires) == (None, None)


def test_rules_match_ids_and_say_what_no_column_does(database: Database) -> None:
    rules = [{"match": "*", "allow": ["group:staff"], "updated": "2026-01-01"}, {"match": "b", "allow": ["group:hr"]}]
    found = documents(database.source(fields={"id": "id", "text": "body"}, rules=rules))
    assert found["a"].access().allow == {"group:staff"}
    assert found["b"].access().allow == {"group:hr"}
    assert found["b"].described().updated == date(2026, 1, 1)


@pytest.mark.parametrize(
    ("readers", "told"),
    [
        (None, "'a' has no allow list: 'readers' of its row is empty"),
        ("", "'a' has no allow list"),
        ("[]", "'a' has no allow list"),
        ("staff", "'a' grants 'staff'"),
        ("[1]", "'a' has allow in 'readers', which cannot be used"),
        ("[broken", "'a' has allow in 'readers', which cannot be used"),
        (3, "'a' has allow in 'readers', which cannot be used"),
        (b"group:staff", "'a' has allow in 'readers', which cannot be used"),
    ],
)
def test_a_row_whose_readers_are_not_said_is_refused_by_name(database: Database, readers: object, told: str) -> None:
    database.fill([("a", "one", readers)])
    with pytest.raises(AccessMissing) as refused:
        documents(database.source())["a"].access()
    assert told in str(refused.value)


def test_denials_and_tenants_that_cannot_be_read_leave_nobody(database: Database) -> None:
    database.fill(
        [("a", "one", "group:staff", 4.5, "acme"), ("b", "two", "group:staff", None, None)],
        "id, body, readers, cannot, org",
    )
    found = documents(database.source(fields={**FIELDS, "deny": "cannot", "tenant": "org"}, tenant=None))
    with pytest.raises(AccessMissing, match="deny in 'cannot'"):
        found["a"].access()
    with pytest.raises(AccessMissing, match="'b' has no tenant"):
        found["b"].access()


def test_bare_names_can_be_groups(database: Database) -> None:
    database.fill([("a", "one", "staff, user:eve")])
    assert documents(database.source(grants="group"))["a"].access().allow == {"group:staff", "group:user:eve"}


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("updated", "soon", "updated in 'extra'"),
        ("expires", 1700000000, "expires in 'extra'"),
        ("title", b"x", "title in 'extra'"),
        ("source", "javascript:alert(1)", "source in 'extra'"),
        ("source", "https://a.example/{name}", "source in 'extra'"),
    ],
)
def test_a_value_that_cannot_be_used_refuses_its_row_alone(
    database: Database, field: str, value: object, told: str
) -> None:
    database.fill([("a", "one", "group:staff", value), ("b", "two", "group:staff", None)], "id, body, readers, extra")
    found = documents(database.source(fields={**FIELDS, field: "extra"}))
    assert found["a"].access().allow == {"group:staff"}, "its access counts all the same"
    with pytest.raises(SourceError, match=rf"'a' has {told}"):
        found["a"].described()
    assert found["b"].new().raw == b"two"


@pytest.mark.parametrize("identity", [None, "", " a", "a\n", 1.5, b"a"])
def test_a_row_without_a_usable_id_is_refused_by_its_number(database: Database, identity: object) -> None:
    database.fill([("a", "one", "group:staff"), (identity, "two", "group:staff")])
    found = database.source(query="SELECT * FROM articles").documents()
    (refused,) = (one for one in found if isinstance(one, Unusable))
    assert (refused.place, refused.reason) == ("row 2", "row 2 has no usable id in 'id'")


def test_when_no_row_has_an_id_nothing_is_taken_for_gone(database: Database) -> None:
    database.fill([(None, "one", "group:staff"), (None, "two", "group:staff")])
    with pytest.raises(SourceError, match="none of 2 rows has an id in 'id'"):
        database.source().documents()


def test_bytes_come_with_a_file_name(database: Database) -> None:
    database.fill(
        [
            ("a", b"%PDF\x00", "group:staff", "a.pdf"),
            ("b", None, "group:staff", "b.pdf"),
            ("c", b"x", "group:staff", ""),
        ],
        "id, body, readers, file",
    )
    found = documents(database.source(fields={"id": "id", "content": "body", "name": "file", "allow": "readers"}))
    assert (found["a"].name, found["a"].content.read()) == ("a.pdf", b"%PDF\x00")
    for name, told in (("b", "'b' has no usable content in 'body': it is empty"), ("c", "no file name in 'file'")):
        with pytest.raises(SourceError, match=told):
            found[name].content.version()


def test_a_text_that_is_too_large_is_named_and_the_rest_is_there(database: Database) -> None:
    database.fill([("a", "x" * (LARGEST + 1), "group:staff"), ("b", "two", "group:staff")])
    found = documents(database.source())
    with pytest.raises(SourceError, match="'a' is larger than 64 MiB"):
        found["a"].content.read()
    assert found["b"].content.read() == b"two"


@pytest.mark.parametrize(
    "query", ["DELETE FROM articles", "INSERT INTO articles VALUES ('c', 'x', 'y') RETURNING *", "DROP TABLE articles",
              "SELECT 1; DELETE FROM articles", "ATTACH DATABASE 'other.db' AS other", "PRAGMA query_only = OFF"]
)  # fmt: skip
def test_a_query_cannot_change_anything(
    database: Database, query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=r"crm\.yaml"):
        database.source(query=query).documents()
    assert list(documents(database.source())) == ["a", "b"]
    assert list(tmp_path.iterdir()) == [database.path]


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    for url in ("sqlite://", "sqlite:///:memory:"):
        with pytest.raises(SourceError, match="not there"):
            Database(tmp_path / "none.db").source(url=url)
    with pytest.raises(SourceError, match=r"'none\.db', which is not there"):
        Database(tmp_path / "none.db").source()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"fields": {"id": "id"}}, "`text`, or those of `content`"),
        ({"fields": {**FIELDS, "content": "body"}}, "`text`, or those of `content`"),
        ({"fields": {"id": "id", "content": "body"}}, "`text`, or those of `content`"),
        ({"rules": [{"match": "*", "allow": ["group:x"]}]}, "allow by a field and by a rule"),
        ({"fields": {**FIELDS, "tenant": "readers"}}, "tenant by a field and by a rule"),
        ({"rules": [{"match": "!x", "deny": ["group:x"]}]}, "the pattern '!x'"),
        ({"origin": ""}, "the origin ''"),
        ({"source": "javascript:x"}, "the source"),
        ({"prefix": "../x"}, "the prefix"),
        ({"url": "nonsense"}, "none that SQLAlchemy knows"),
    ],
)
def test_descriptions_that_cannot_be_meant_are_refused(
    database: Database, changed: Mapping[str, object], told: str
) -> None:
    with pytest.raises(SourceError, match=told):
        database.source(**changed)


def test_a_column_that_is_not_there_stops_the_run(database: Database) -> None:
    with pytest.raises(SourceError, match="names 'txt', and its query gives body, id, readers"):
        database.source(fields={**FIELDS, "text": "txt"}).documents()


def test_a_query_that_fails_in_the_middle_gives_nothing(database: Database) -> None:
    database.fill([(f"{number:04}", "text", "group:staff") for number in range(1000)])
    broken = "SELECT *, CASE WHEN id = '0900' THEN json('[') END FROM articles ORDER BY id"
    with pytest.raises(SourceError, match=r"the query of crm\.yaml failed: malformed JSON"):
        database.source(query=broken).documents()


def test_words_of_a_query_are_not_taken_for_parameters(database: Database) -> None:
    query = "SELECT id, body || ' 100% at 12:30 :now ?' AS body, readers FROM articles WHERE id LIKE 'a%'"
    assert documents(database.source(query=query))["a"].content.read() == b"one 100% at 12:30 :now ?"


PASSWORD = "p@ss:w/rd %41"


@pytest.mark.parametrize(
    "url", ["postgresql://crm:${CRM}@127.0.0.1:9/crm", "postgresql://127.0.0.1:9/${CRM}", "${URL}", "odd:${CRM}://x"]
)
def test_no_message_shows_a_secret(url: str) -> None:
    said = {"kind": "sql", "origin": "crm", "url": url, "query": "SELECT 1", "fields": FIELDS}
    known = Secrets({"CRM": PASSWORD, "URL": f"postgresql://crm:{PASSWORD}@[nonsense"})
    with pytest.raises(SourceError) as refused:
        SqlSource(msgspec.convert(said, SqlConfig), "crm.yaml", known).documents()
    error: BaseException | None = refused.value
    assert "crm.yaml" in str(error)
    while error is not None:
        assert not [part for part in (PASSWORD, "p@ss", "p%40ss", "w/rd") if part in str(error)]
        error = error.__cause__


def test_a_secret_that_is_not_set_is_named(database: Database) -> None:
    with pytest.raises(SourceError, match=r"\$\{CRM\} is not set"):
        database.source(url="postgresql://crm:${CRM}@db/crm")


def test_many_rows_come_through_in_bounded_steps(database: Database) -> None:
    database.fill([(number, json.dumps(number), "group:staff") for number in range(2_345)])
    found = documents(database.source())
    assert len(found) == 2_345
    assert all(one.content.read() == name.encode() for name, one in found.items())
