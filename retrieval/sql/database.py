"""One SQL database, SQLite or PostgreSQL: opened, read, written, locked, scrubbed; its errors become ours here."""

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from retrieval.errors import CatalogError
from retrieval.sql import migrations
from retrieval.sql.claims import Claims
from retrieval.sql.reader import Reader
from retrieval.sql.tables import contents, documents, ingestion_items, originals, pieces, records, versions

Insert: TypeAlias = sqlite.Insert | postgresql.Insert

_MIGRATING = 0x7477696E70696E  # the advisory lock of whoever makes or changes tables
_BEGINS = "begins"  # execution option: how a transaction begins on SQLite
_POSITIVE = (1 << 62) - 1  # a place in a file
_HOLD_TEXTS = (documents, versions, originals, contents, pieces, ingestion_items, records)
# A writer that sits on a lock and whose machine is gone is noticed in a minute, not in two hours.
_KEEPALIVE = {"tcp_keepalives_idle": "30", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3"}
_GOODBYE_SECONDS = 0.5


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # it has no types
    """Whoever gives one up has mostly waited too long already: a server that says nothing is left soon."""

    async def close(self, *, timeout: float | None = None) -> None:
        await super().close(timeout=min(_GOODBYE_SECONDS, timeout or _GOODBYE_SECONDS))


@dataclass(frozen=True, slots=True)
class Engines:
    """`main` for all; on SQLite `reader`, which is quick; on PostgreSQL `patient`, which may wait."""

    main: AsyncEngine
    reader: Reader | None = None
    patient: AsyncEngine | None = None


class Database:
    """Errors: CatalogError whenever SQL cannot answer. Belongs to one event loop."""

    def __init__(self, engines: Engines, place: Path | None) -> None:
        self.dialect = engines.main.dialect.name
        self._engines = engines
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._turn = nullcontext() if place is None else asyncio.Lock()
        self._claims = None if place is None else Claims(place.with_name(f"{place.name}-lock"))
        self.place = place

    @classmethod
    @asynccontextmanager
    async def open(cls, where: Path | str) -> AsyncIterator["Database"]:
        """A file of SQLite's, or a URL of either database; tables are made or brought up to this release."""
        url = database_url(where)
        shown = Path(url.database or "").name if url.get_backend_name() == "sqlite" else url.render_as_string()
        with mapped(shown):
            database = _sqlite(cls, url) if url.get_backend_name() == "sqlite" else _postgresql(cls, url)
        try:
            with mapped(shown):
                await database._migrate(shown)
            yield database
        finally:
            await database._close()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that reads."""
        with mapped():
            async with self._engines.main.connect() as connection:
                yield connection

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes; on SQLite the only one, and one that waits in line and does not poll."""
        with mapped():
            async with self._turn, self._engines.main.connect() as connection:
                await connection.execution_options(**{_BEGINS: "BEGIN IMMEDIATE"})
                async with connection.begin():
                    yield connection

    async def consult(self, statement: sa.Select[*tuple[Any, ...]], values: Mapping[str, Any]) -> Sequence[Any]:
        """One reading statement with as little around it as there can be; on SQLite days come as they are stored."""
        with mapped():
            if self._engines.reader is not None:
                return self._engines.reader.rows(statement, values)
            async with self._engines.main.connect() as connection:
                rows: Sequence[Any] = (await connection.execute(statement, values)).all()
            return rows

    @asynccontextmanager
    async def locked(self, names: Iterable[str]) -> AsyncIterator[None]:
        """Hold a lock per name, against tasks of this process and against other processes.

        A lock is let go when its process dies. Names are taken in one order, so that nobody waits in a circle.
        """
        wanted = sorted(set(names))
        async with AsyncExitStack() as held:
            for name in wanted:
                await held.enter_async_context(self._locks.setdefault(name, asyncio.Lock()))
            if self._engines.patient is not None:
                await held.enter_async_context(_advisory(self._engines.patient, sorted(map(_lock_key, wanted))))
            if self._claims is not None:
                with mapped():
                    await held.enter_async_context(self._claims.held({_lock_key(name) & _POSITIVE for name in wanted}))
            yield

    async def scrub(self) -> str:
        """Take deleted bytes out of the files; says in words what was done and what it cannot reach."""
        with mapped():
            if self._engines.patient is not None:
                async with self._engines.patient.connect() as connection:
                    for table in _HOLD_TEXTS:
                        await connection.execute(sa.text(f"VACUUM FULL {table.name}"))
                return "tables rewritten (VACUUM FULL); the server's write-ahead log and backups are not reached"
            async with self._turn, self._engines.main.connect() as connection:
                await connection.execution_options(**{_BEGINS: None})
                await connection.exec_driver_sql("VACUUM")
                busy = (await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")).one()[0]
        if busy:
            raise CatalogError("the catalog's log could not be emptied, because somebody reads from it: try again")
        return "file rewritten (VACUUM), its write-ahead log emptied"

    async def _migrate(self, shown: str) -> None:
        async with self._engines.main.connect() as connection:
            if await connection.run_sync(migrations.revision) == migrations.HEAD:
                return
        async with self.begin() as connection:
            if self.place is None:
                await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATING)))
            await connection.run_sync(migrations.upgrade, shown)

    async def _close(self) -> None:
        if self._engines.reader is not None:
            self._engines.reader.close()
        if self._claims is not None:
            self._claims.close()
        for engine in (self._engines.main, self._engines.patient):
            if engine is not None:
                await engine.dispose()


def insert(connection: AsyncConnection, table: sa.Table) -> Insert:
    """The dialect's own insert, which knows what to do on a conflict."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


async def upsert(
    connection: AsyncConnection, table: sa.Table, keys: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Insert a row, or change the one with these keys."""
    statement = insert(connection, table).values(**keys, **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=dict(values)))


@contextmanager
def mapped(name: str = "") -> Iterator[None]:
    """What SQLAlchemy, a driver or a socket raises becomes a CatalogError that tells no secret."""
    try:
        yield
    except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, sqlite3.Error, OSError) as error:
        named = f" {name!r}" if name else ""
        raise CatalogError(f"the catalog database{named} does not answer: {_cause(error)}") from error


def _cause(error: Exception) -> str:
    """The driver's own word for it; its text may hold what was asked for."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return type(original.__cause__ or original).__name__ if original else type(error).__name__


def database_url(where: Path | str) -> sa.URL:
    """The URL with the driver that we use; CatalogError for a database that we do not know."""
    if isinstance(where, Path) or "://" not in where:
        return sa.URL.create("sqlite+aiosqlite", database=str(where))
    with mapped():
        url = sa.make_url(where)
    scheme = url.drivername.partition("+")[0]
    if scheme == "sqlite" and url.database not in (None, "", ":memory:"):
        return url.set(drivername="sqlite+aiosqlite")
    if scheme in ("postgresql", "postgres"):
        return _libpq(url.set(drivername="postgresql+asyncpg"))
    raise CatalogError(f"a catalog is sqlite:///FILE or postgresql://USER@HOST/NAME, not {url.render_as_string()!r}")


def _libpq(url: sa.URL) -> sa.URL:
    """The driver's name for what everybody else's URLs call sslmode."""
    mode = url.query.get("sslmode")
    return url if mode is None else url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})


def _sqlite(cls: type[Database], url: sa.URL) -> Database:
    place = Path(url.database or "").absolute()
    place.parent.mkdir(parents=True, exist_ok=True)
    main = create_async_engine(url, hide_parameters=True)
    sa.event.listen(main.sync_engine, "connect", _configure)
    sa.event.listen(main.sync_engine, "begin", _begin)
    return cls(Engines(main, Reader(place)), place)


def _configure(connection: Any, _record: object) -> None:
    """A writer waits for another instead of failing; readers go on meanwhile; what is deleted is overwritten."""
    connection.isolation_level = None
    for pragma in ("busy_timeout = 10000", "journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: sa.Connection) -> None:
    """The driver would begin only before the first change: too late to have read what it depends on."""
    if begins := connection.get_execution_options().get(_BEGINS, "BEGIN"):
        connection.exec_driver_sql(begins)


def _postgresql(cls: type[Database], url: sa.URL) -> Database:
    told = {"application_name": "twinpin", **_KEEPALIVE}
    given = {"timeout": 10, "server_settings": told, "connection_class": _Connection}
    main = create_async_engine(
        url, connect_args={**given, "command_timeout": 60}, pool_size=10, pool_pre_ping=True, hide_parameters=True
    )
    patient = create_async_engine(
        url,
        connect_args=given,
        isolation_level="AUTOCOMMIT",
        pool_size=1,
        max_overflow=7,
        pool_pre_ping=True,
        hide_parameters=True,
    )
    return cls(Engines(main, patient=patient), None)


@asynccontextmanager
async def _advisory(engine: AsyncEngine, keys: Sequence[int]) -> AsyncIterator[None]:
    """Locks of a connection's own: it needs none of those that the work in between takes."""
    with mapped():
        connection = await engine.connect()
    try:
        with mapped():
            for key in keys:
                await connection.execute(sa.select(sa.func.pg_advisory_lock(key)))
        yield
        with mapped():
            await connection.execute(sa.select(sa.func.pg_advisory_unlock_all()))
    except BaseException:
        await connection.invalidate()
        raise
    finally:
        await connection.close()


def _lock_key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"writing {name}".encode(), digest_size=8).digest(), "big", signed=True)
