"""The rows of a query on a real PostgreSQL: its types come through, and its transaction cannot write."""

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
import pytest

from retrieval.acl import Access
from retrieval.errors import SourceError
from retrieval.ingest.sources import SourceDocument
from retrieval.ingest.sources.query import SqlConfig, SqlSource
from retrieval.ingest.sources.secrets import Secrets
from tests.postgres import Postgres

TABLE = """
CREATE TABLE articles (id uuid DEFAULT gen_random_uuid(), n int, body text, readers text[], cannot jsonb,
                       changed timestamptz, file bytea);
INSERT INTO articles (n, body, readers, cannot, changed, file)
SELECT n, 'text ' || n, ARRAY['group:a', 'user:b'], '["user:eve"]', '2026-03-04 23:30:00-05', '\\x00ff'
FROM generate_series(1, 1000) AS n
"""
FIELDS = {"id": "id", "text": "body", "allow": "readers", "deny": "cannot", "updated": "changed"}


@dataclass(frozen=True)
class Articles:
    """A database with a thousand of them."""

    server: Postgres
    name: str

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    def count(self) -> int:
        return int(self.server.run("SELECT count(*) FROM articles", self.name))


@pytest.fixture(scope="module")
def articles(postgres: Postgres) -> Articles:
    made = Articles(postgres, "crm")
    postgres.run("CREATE DATABASE crm")
    postgres.run(TABLE, made.name)
    return made


def source(articles: Articles, **changed: Any) -> SqlSource:
    said = {
        "kind": "sql",
        "origin": "crm",
        "url": articles.url,
        "query": "SELECT * FROM articles ORDER BY n",
        "fields": FIELDS,
        "tenant": "acme",
        **changed,
    }
    return SqlSource(msgspec.convert(said, SqlConfig), "crm.yaml", Secrets({}))


def documents(found: SqlSource) -> list[SourceDocument]:
    return [one for one in found.documents() if isinstance(one, SourceDocument)]


def test_values_of_its_own_types_come_through(articles: Articles) -> None:
    found = documents(source(articles))
    assert [one.content.read() for one in found] == [f"text {n}".encode() for n in range(1, 1001)]
    new = found[0].described()
    assert UUID(new.id).version == 4
    assert new.access == Access("acme", frozenset({"group:a", "user:b"}), frozenset({"user:eve"}))
    assert new.updated == date(2026, 3, 5)
    fields = {"id": "id", "content": "file", "name": "body", "allow": "readers"}
    assert documents(source(articles, fields=fields))[0].new().raw == b"\x00\xff"


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM articles",
        "DELETE FROM articles RETURNING *",
        "WITH gone AS (DELETE FROM articles RETURNING *) SELECT * FROM gone",
        "SELECT 1; DELETE FROM articles",
        "COMMIT",
        "DROP TABLE articles",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "COPY articles TO PROGRAM 'true'",
    ],
)
def test_a_query_cannot_change_anything(articles: Articles, query: str) -> None:
    with pytest.raises(SourceError, match=r"crm\.yaml"):
        source(articles, query=query).documents()
    assert articles.count() == 1000


def test_a_query_that_fails_in_the_middle_gives_nothing(articles: Articles) -> None:
    query = "SELECT *, 1 / (900 - n) AS broken FROM articles ORDER BY n"
    with pytest.raises(SourceError, match=r"the query of crm\.yaml failed: division by zero"):
        source(articles, query=query).documents()


def test_a_message_of_the_server_shows_no_secret(articles: Articles) -> None:
    said = {"url": articles.server.url("${CRM}"), "kind": "sql", "origin": "crm", "query": "SELECT 1", "fields": FIELDS}
    found = SqlSource(msgspec.convert(said, SqlConfig), "crm.yaml", Secrets({"CRM": "s3cret/1"}))
    with pytest.raises(SourceError, match=r'database "\*\*\*" does not exist'):
        found.documents()


def test_what_does_not_answer_is_told_of(articles: Articles) -> None:
    with pytest.raises(SourceError, match=r'the query of crm\.yaml failed: .*"none"'):
        source(articles, url=articles.server.url("none")).documents()
    with pytest.raises(SourceError, match=r'the query of crm\.yaml failed: relation "none" does not exist'):
        source(articles, query="SELECT * FROM none").documents()
