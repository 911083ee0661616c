"""SQLite read in the caller's thread, on a connection that cannot write, so that a search hardly waits for it.

The asynchronous driver hands every step to a thread of its own, and SQLAlchemy's way around a statement takes about as
long as the statement. So one that is read often is compiled once and goes to the database as it is. In WAL mode a
reader waits for no writer, and an indexed statement is done before another thread would have answered.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

_WAIT = 1.0  # seconds; only a database that is being recovered makes a reader wait


class Reader:
    """Values and rows are of SQLite's own types, but for days among the values. Errors: sqlite3.Error."""

    def __init__(self, place: Path) -> None:
        self._uri = f"file:{quote(str(place))}?mode=ro"
        self._connection: sqlite3.Connection | None = None

    def rows(self, statement: sa.Select[*tuple[Any, ...]], values: Mapping[str, Any]) -> Sequence[Any]:
        """All rows of one statement, in a transaction of its own."""
        if self._connection is None:
            self._connection = self._connect()
        text, given = _compiled(statement)
        days = {name: value.isoformat() for name, value in values.items() if isinstance(value, date)}
        return self._connection.execute(text, {**given, **values, **days}).fetchall()

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._uri, uri=True, timeout=_WAIT, isolation_level=None, check_same_thread=False)


@lru_cache(maxsize=16)
def _compiled(statement: sa.Select[*tuple[Any, ...]]) -> tuple[str, dict[str, Any]]:
    """A statement's text, and the values that stand in it."""
    compiled = statement.compile(dialect=sqlite.dialect(paramstyle="named"))
    return str(compiled), dict(compiled.params)
