"""A source is a folder, or what a YAML file describes by its kind."""

import sqlite3
from pathlib import Path

import pytest

from retrieval.errors import SourceError
from retrieval.ingest.sources.api import ApiSource
from retrieval.ingest.sources.config import load_source
from retrieval.ingest.sources.folder import FolderSource
from retrieval.ingest.sources.query import SqlSource

SQL = """
kind: sql
origin: crm
url: sqlite:///{place}/${{NAME}}.db
query: SELECT id, body FROM articles
fields: {{id: id, text: body}}
tenant: acme
rules: [{{match: "*", allow: ["group:staff"], expires: 2030-01-01}}]
"""
API = """
kind: api
origin: wiki
url: https://wiki.example/items
headers: {authorization: "Bearer ${TOKEN}"}
items: data
page: {parameter: page}
fields: {id: id, text: body, allow: readers}
tenant: acme
grants: group
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "docs"
    made.mkdir()
    (made / "twinpin.yaml").write_text('tenant: acme\norigin: docs\nrules: [{match: "**", allow: ["group:staff"]}]')
    (made / "a.md").write_text("one")
    return made


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "source.yaml"
    path.write_text(text)
    return path


def test_a_folder_is_a_source_by_itself_or_by_name(folder: Path, tmp_path: Path) -> None:
    for path in (folder, write(tmp_path, "{kind: folder, path: docs}")):
        source = load_source(path, {})
        assert isinstance(source, FolderSource)
        assert source.origin == "docs"


def test_a_query_is_a_source(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "crm.db") as connection:
        connection.execute("CREATE TABLE articles AS SELECT 'a' AS id, 'one' AS body")
    connection.close()
    source = load_source(write(tmp_path, SQL.format(place=tmp_path)), {"NAME": "crm"})
    assert isinstance(source, SqlSource)
    (document,) = source.documents()
    assert (source.origin, document) == ("crm", document)


def test_an_api_is_a_source(tmp_path: Path) -> None:
    source = load_source(write(tmp_path, API), {"TOKEN": "x"})
    assert isinstance(source, ApiSource)
    assert source.origin == "wiki"
    with pytest.raises(SourceError, match=r"\$\{TOKEN\} is not set"):
        load_source(write(tmp_path, API), {})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no description"),
        ("kind: ftp", "Invalid value 'ftp'"),
        ("path: docs", "missing required field `kind`"),
        ("{kind: folder, path: docs, tenant: acme}", "unknown field `tenant`"),
        ("{kind: git}", "missing required field `path`"),
        ("{kind: git, path: docs}", "git rev-parse"),
        ("{kind: folder, path: none}", "'none' is not a folder"),
        ("kind: [", "no description"),
        (API.replace("text: body", "txt: body"), "unknown field `txt`"),
        (API.replace("origin: wiki", ""), "missing required field `origin`"),
        (API.replace("grants: group", "grants: all"), "Invalid enum value 'all'"),
    ],
)
def test_what_describes_no_source_is_refused(folder: Path, tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SourceError, match=told):
        load_source(write(tmp_path, text), {"TOKEN": "x"})


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no folder or file 'none\.yaml'"):
        load_source(tmp_path / "none.yaml", {})
