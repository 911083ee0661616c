"""Takes parts of records away, by document, by person or by age; their digests stay, and the chain with them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from retrieval.records.book import add_to, chaining
from retrieval.records.erased import OF_DOCUMENT, OF_PERSON, OF_REMARK, Why, erasures
from retrieval.records.late import mark_erased
from retrieval.sql.database import Database
from retrieval.sql.mentions import json_quoted
from retrieval.sql.tables import erased_people, records

AT_ONCE = 500
_ALL: Final = ("facts", "words", "sources", "documents", "person", "subject")


class Forgetting:
    """Works in short transactions, each of which holds up those who add records. Errors: CatalogError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def document(self, tenant: str, document: str, words: Sequence[str]) -> int:
        """What was read or said of a document: of answers from it, of what was said about them, and wherever a
        record of the tenant holds `words` that only this document had. How many records that were.
        """
        named = msgspec.json.encode(document).decode()
        holds = [self._holds(records.c.documents, named)]
        holds += [self._holds(records.c.words, json_quoted(one)) for one in words]
        mine = sa.and_(records.c.tenant == tenant, sa.or_(*holds))
        return await self._forget(mine, OF_DOCUMENT, "document")

    async def subject(self, tenant: str, subject: str) -> int:
        """Who somebody was, by their own credential or as an app's user, and all that was said by them, or by others
        about that; of what is on its way it is left out when it comes.
        """
        async with self._database.begin() as connection:
            await chaining(connection)
            await mark_erased(connection, tenant, subject, datetime.now(UTC))
        theirs, asked = self._of(records, tenant, subject), records.alias()
        about = sa.select(asked.c.id).where(self._of(asked, tenant, subject))
        said = await self._forget(records.c.about.in_(about), OF_REMARK, "person")
        return said + await self._forget(theirs, OF_PERSON, "person")

    async def older(self, kind: str, before: datetime, *, words_only: bool = False) -> int:
        """Records of a kind from before a time, or what was said in them."""
        old = sa.and_(records.c.kind == kind, records.c.created < before)
        if words_only:
            return await self._forget(old, ("words",), "age")
        return await self._forget(old, _ALL, "age", told_by=("facts",))

    async def clear_marks(self, before: datetime) -> None:
        """Forget that people were erased before a time: nothing of theirs is on its way any more."""
        async with self._database.begin() as connection:
            await connection.execute(sa.delete(erased_people).where(erased_people.c.at < before))

    async def _forget(
        self, which: sa.ColumnElement[bool], columns: Sequence[str], why: Why, told_by: Sequence[str] | None = None
    ) -> int:
        """The same transaction records what it takes.

        `told_by` are columns that tell whether there is something left, where fewer do than are forgotten.
        """
        there = sa.or_(*(records.c[name].is_not(None) for name in told_by or columns))
        some = sa.select(records.c.tenant, records.c.id).where(which, there).order_by(records.c.created).limit(AT_ONCE)
        done = 0
        while True:
            async with self._database.begin() as connection:
                await chaining(connection)
                owned = [(row.tenant, row.id) for row in await connection.execute(some)]
                ids, gone = [record for _, record in owned], dict.fromkeys(columns)
                await connection.execute(sa.update(records).where(records.c.id.in_(ids)).values(gone))
                await add_to(connection, erasures(owned, columns, why, datetime.now(UTC)))
            done += len(owned)
            if len(owned) < AT_ONCE:
                return done

    def _of(self, whose: sa.FromClause, tenant: str, name: str) -> sa.ColumnElement[bool]:
        """Quotes in JSON's texts are escaped: what looks like the field is the field."""
        user = self._holds(whose.c.person, f'"user":{msgspec.json.encode(name).decode()}')
        return sa.and_(whose.c.tenant == tenant, sa.or_(whose.c.subject == name, user))

    def _holds(self, column: sa.ColumnElement[Any], words: str) -> sa.ColumnElement[bool]:
        if self._database.dialect == "sqlite":
            return sa.func.instr(column, words) > 0
        return sa.func.strpos(column, words) > 0
