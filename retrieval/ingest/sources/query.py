"""The rows of an SQL query, read in one read-only transaction."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from asyncpg import InterfaceError, PostgresError
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from retrieval.errors import SourceError
from retrieval.ingest.sources.document import Found
from retrieval.ingest.sources.rows import Mapper, Row, RowsConfig
from retrieval.ingest.sources.secrets import Secrets

_AT_ONCE = 200
_READING = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
    sqlite3.SQLITE_TRANSACTION,
}
_Options: TypeAlias = Mapping[str, Any]


class SqlConfig(RowsConfig, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="sql", tag_field="kind"):
    """`url` is SQLAlchemy's, `${NAME}` in it a secret; `query` is one statement that changes nothing."""

    url: str
    query: str


class SqlSource:
    """Every row is a document. PostgreSQL and SQLite are read in a transaction that cannot write."""

    def __init__(self, config: SqlConfig, file: str, secrets: Secrets) -> None:
        self._config, self._file, self._secrets = config, file, secrets
        self._url = _url(secrets.fill_url(config.url), file)
        secrets.also(self._url.password)
        self.origin = config.origin
        Mapper(config, file)

    def documents(self) -> list[Found]:
        """All rows of one snapshot, their content put aside on disk; SourceError when the query fails anywhere."""
        try:
            return _run(self._url, self._read)
        except (SQLAlchemyError, PostgresError, InterfaceError, OSError, ModuleNotFoundError) as error:
            told = self._secrets.hide(_told(error))
            raise SourceError(f"the query of {self._file} failed: {told}") from None  # its cause may hold a secret

    def _read(self, connection: Connection) -> list[Found]:
        return list(Mapper(self._config, self._file).documents(self._rows(connection)))

    def _rows(self, connection: Connection) -> Iterator[Row]:
        result = connection.exec_driver_sql(self._config.query)
        there = set(result.keys()) if result.returns_rows else set()
        for name in self._config.fields.named():
            if name not in there:
                raise SourceError(f"{self._file} names {name!r}, and its query gives {', '.join(sorted(there))}")
        for partition in result.mappings().partitions(_AT_ONCE):
            yield from (row.__getitem__ for row in partition)


def _url(text: str, file: str) -> URL:
    """The message of a URL that cannot be read could hold a part of a password: ours does not."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise SourceError(f"the url of {file} is none that SQLAlchemy knows: postgresql://… or sqlite:///…") from None
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, file)
    return url.set(drivername="postgresql+asyncpg") if url.drivername in ("postgresql", "postgres") else url


def _sqlite(url: URL, file: str) -> URL:
    """A file that is not there would be made; one that is there is opened for reading alone."""
    place = Path(url.database or "")
    if not place.is_file():
        raise SourceError(f"the url of {file} names the SQLite file {place.name!r}, which is not there")
    return URL.create("sqlite", database=place.resolve().as_uri(), query={"mode": "ro", "uri": "true"})


def _run(url: URL, read: Callable[[Connection], list[Found]]) -> list[Found]:
    """PostgreSQL is reached through an asynchronous driver, in a loop of its own."""
    options: dict[str, Any] = {"stream_results": True, "yield_per": _AT_ONCE}
    if url.get_backend_name() == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    if url.get_dialect().is_async:
        return asyncio.run(_run_async(url, options, read))
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _only_read)
    try:
        with engine.connect() as connection:
            return read(connection.execution_options(**options))
    finally:
        engine.dispose()


async def _run_async(url: URL, options: _Options, read: Callable[[Connection], list[Found]]) -> list[Found]:
    engine = create_async_engine(url, poolclass=NullPool, hide_parameters=True)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(lambda sync: read(sync.execution_options(**options)))
    finally:
        await engine.dispose()


def _only_read(connection: sqlite3.Connection, _record: object) -> None:
    """A file opened for reading could still attach another one, and make it."""
    connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY)


def _told(error: Exception) -> str:
    """The driver's own words, without the statement."""
    own = getattr(error, "orig", None) or error
    return str(own).splitlines()[0] if str(own) else type(own).__name__
