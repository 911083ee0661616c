"""How the catalog's database is opened, shared, locked and scrubbed, on SQLite and on PostgreSQL."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from retrieval.catalog import Catalog, TenantMark
from retrieval.errors import CatalogError
from retrieval.sql import migrations
from retrieval.sql.authority import authority
from retrieval.sql.database import Database
from retrieval.sql.tables import documents, pieces, tables
from tests.contracts.documents import HR, STAFF, TODAY, entry, page, read, reader, ref
from tests.postgres import Postgres

WAIT = 30  # seconds for what happens at once on a machine that is not busy


async def execute(where: Path | str, *statements: str) -> None:
    async with Database.open(where) as database, database.begin() as connection:
        for statement in statements:
            await connection.execute(sa.text(statement))


async def test_what_was_written_is_there_after_opening_again(where: Path | str) -> None:
    for numbers in ([1], [2]):
        async with Catalog.open(str(where)) as catalog:
            assert await catalog.put([entry(page(f"doc {numbers}"))]) == numbers
    async with Catalog.open(where) as catalog:
        assert await read(catalog, ref(0, 5, document="doc [1]")) == ["Grüße"]


async def test_migrations_make_the_tables_that_the_code_knows(where: Path | str) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), tables))

    async with Database.open(where) as database, database.connect() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(migrations.revision) == migrations.HEAD
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [migrations.HEAD]


async def test_the_names_in_lists_that_are_there_are_taken_over(where: Path | str) -> None:
    async with Catalog.open(where) as catalog:
        await catalog.put([entry(page(access=replace(HR, deny=frozenset({"user:u"})))), entry(page("other"))])
        expected = await catalog.scope(reader("hr", "staff"))
        assert (expected.grants, expected.denied_as) == (("group:hr", "group:staff"), ("user:u",))
    await execute(where, "DROP TABLE listed_names", "UPDATE alembic_version SET version_num = '0006'")
    async with Catalog.open(where) as catalog:
        assert await catalog.scope(reader("hr", "staff")) == expected


async def test_a_catalog_of_a_later_release_is_refused(where: Path | str) -> None:
    await execute(where, "UPDATE alembic_version SET version_num = 'later'")
    with pytest.raises(CatalogError, match="at revision 'later', which this release does not know"):
        async with Catalog.open(where):
            pass


async def test_a_catalog_of_a_release_without_revisions_is_refused(where: Path | str) -> None:
    await execute(where, "DROP TABLE alembic_version")
    with pytest.raises(CatalogError, match="move it and the indexes away, and ingest every source again"):
        async with Catalog.open(where):
            pass


@contextmanager
def processes(code: str, *arguments: str, count: int = 1) -> Iterator[list[subprocess.Popen[str]]]:
    """Interpreters that run `code` at the same time; whatever happens, they end with the block."""
    command = [sys.executable, "-c", f"import asyncio, sys\nfrom retrieval.catalog import Catalog\n{code}", *arguments]
    pipe = subprocess.PIPE
    started = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(count)]
    try:
        yield started
    finally:
        for one in started:
            one.kill()
            one.communicate()


OPEN_MANY = """
async def make(where):
    async with Catalog.open(where) as catalog: await catalog.check()
print("ready", flush=True)
sys.stdin.readline()
for where in sys.argv[1:]: asyncio.run(make(where))
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_two_processes_may_make_a_catalog_at_once(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if kind == "sqlite":
        places = [str(tmp_path / f"{n}.db") for n in range(10)]
    else:
        server: Postgres = request.getfixturevalue("postgres")
        places = [server.create() for _ in range(3)]
    with processes(OPEN_MANY, *places, count=2) as both:
        for one in both:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        ended = [one.communicate("go\n", timeout=WAIT * 3)[1] for one in both]
        assert ended == ["", ""]


async def test_a_catalog_whose_making_failed_is_made_again(
    kind_of_new: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(connection: sa.Connection, name: str) -> None:
        upgrade(connection, name)
        raise sa.exc.OperationalError(name, None, TimeoutError())

    upgrade = migrations.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "upgrade", half)
        with pytest.raises(CatalogError, match="does not answer: TimeoutError"):
            async with Catalog.open(kind_of_new):
                pass
    async with Catalog.open(kind_of_new) as catalog:
        await catalog.put([entry()])
        assert await read(catalog, ref(0, 5)) == ["Grüße"]


@pytest.fixture(params=["sqlite", "postgres"])
def kind_of_new(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """A place for a catalog that nobody has opened yet."""
    if request.param == "sqlite":
        return tmp_path / "new.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.create()


async def test_concurrent_writers_leave_no_gap_and_nothing_twice(where: Path | str) -> None:
    async with Catalog.open(where) as one, Catalog.open(where) as two:

        async def write(catalog: Catalog, n: int) -> list[int]:
            own, shared = f"doc {n}", page(access=replace(STAFF, tenant="b" if n % 2 else "a"))
            numbers = await catalog.put([entry(page(own)), entry(shared), entry(page(f"{own} more"))])
            numbers.append(await catalog.grant("acme", own, HR))
            numbers.append(await catalog.delete("acme", f"{own} more"))
            return [numbers[0], *numbers[2:]]

        written = await asyncio.gather(*(write(catalog, n) for n, catalog in enumerate([one, two] * 6)))
        assert sorted(chain.from_iterable(written)) == list(range(1, 49))
        assert [change.sequence for change in await one.changes("acme", 0)] == list(range(1, 49))
        assert await two.sequences() == {"acme": TenantMark(48, 0), "a": TenantMark(6, 0), "b": TenantMark(6, 0)}


async def test_reading_waits_for_no_writer(where: Path | str) -> None:
    async with Catalog.open(where) as catalog, Catalog.open(where) as other:
        await catalog.put([entry()])
        async with other.database.begin() as connection:
            await connection.execute(sa.text("DELETE FROM documents"))
            async with asyncio.timeout(WAIT):
                assert await read(catalog, ref(0, 5)) == ["Grüße"]
        assert await read(catalog, ref(0, 5)) == [], "a reader sees what was committed before it began"


async def test_one_writes_a_tenants_documents_at_a_time(catalog: Catalog) -> None:
    inside: list[str] = []

    async def write(*tenants: str) -> None:
        async with catalog.writing(tenants):
            assert not inside
            inside.extend(tenants)
            await catalog.put([entry()])
            inside.clear()

    async with asyncio.timeout(WAIT):
        await asyncio.gather(*(write(*names) for names in (("a", "b"), ("b", "a"), ("b",), ("a", "b", "a")) * 3))


async def test_writers_of_different_tenants_do_not_wait(catalog: Catalog) -> None:
    async with asyncio.timeout(WAIT), catalog.writing(["a"]), catalog.writing(["b"]):
        assert await catalog.put([entry()]) == [1]


async def test_a_writer_that_failed_or_was_cancelled_holds_nothing(catalog: Catalog) -> None:
    async def write() -> None:
        async with catalog.writing(["a"]):
            raise LookupError

    with pytest.raises(LookupError):
        await write()
    async with catalog.writing(["a"]):
        waiting = asyncio.create_task(write())
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with asyncio.timeout(WAIT), catalog.writing(["a"]):
        assert await catalog.put([entry()]) == [1]


HOLD = """
async def hold(where):
    async with Catalog.open(where) as catalog, catalog.writing(["a"]):
        print("held", flush=True)
        await asyncio.sleep(60)
asyncio.run(hold(sys.argv[1]))
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_other_processes_wait_too_until_the_holder_is_gone(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    url = str(tmp_path / "catalog.db")
    if kind == "postgresql":
        url = request.getfixturevalue("postgres").create("catalog")
    with processes(HOLD, url) as (holder,):
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        async with Catalog.open(url) as catalog:
            async with asyncio.timeout(WAIT), catalog.writing(["b"]):
                assert await catalog.put([entry()]) == [1], "writing itself does not wait"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5), catalog.writing(["a"]):
                    pytest.fail("two processes write one tenant's documents")
            holder.kill()
            async with asyncio.timeout(WAIT), catalog.writing(["a"]):
                assert await catalog.put([entry()]) == [2]


MARKER = "kumquat-7391"


def found(directory: Path, where: Path | str, server: Postgres | None) -> set[str]:
    """The database's files that hold the marker."""
    if server is None:
        return {path.name for path in directory.iterdir() if MARKER.encode() in path.read_bytes()}
    server.run("CHECKPOINT")
    files = (Path(server.run("SHOW data_directory")) / "base").rglob("*")
    return {path.name for path in files if path.is_file() and MARKER.encode() in path.read_bytes()}


async def test_scrubbing_leaves_no_byte_of_what_was_erased(
    catalog: Catalog, where: Path | str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = None if isinstance(where, Path) else request.getfixturevalue("postgres")
    text = f"The {MARKER} is on every page. " * 30
    marked = page(title=MARKER, version="sha256:2", source=MARKER)
    await catalog.put([entry(), entry(marked, text), entry(page("stays"), "This one stays.")])
    await catalog.describe(replace(marked, category=MARKER))
    assert found(tmp_path, where, server), "the control: bytes are found while they are there"
    await catalog.delete("acme", "doc", erased=True)
    done = await catalog.scrub()
    assert found(tmp_path, where, server) == set()
    assert "rewritten" in done
    assert await read(catalog, ref(0, 4, document="stays")) == ["This"]


async def test_a_database_that_is_not_there_is_a_catalog_error(tmp_path: Path) -> None:
    url = f"postgresql://someone:sesame@/none?host={tmp_path}"
    with pytest.raises(CatalogError, match=r"does not answer: \w+Error") as refused:
        async with Catalog.open(url):
            pass
    assert "sesame" not in str(refused.value)
    assert "someone" in str(refused.value)


async def test_a_server_that_refuses_is_a_catalog_error(postgres: Postgres) -> None:
    with pytest.raises(CatalogError, match=r"/no_such_database\?.* does not answer: InvalidCatalogNameError"):
        async with Catalog.open(postgres.url("no_such_database")):
            pass


async def test_a_server_that_goes_away_is_a_catalog_error_until_it_is_back(postgres: Postgres) -> None:
    async def lose() -> None:
        async with catalog.database.begin() as connection:
            postgres.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname <> 'postgres'")
            await connection.execute(sa.text("SELECT 1"))

    async with Catalog.open(postgres.create("catalog")) as catalog:
        await catalog.put([entry()])
        with pytest.raises(CatalogError):
            await lose()
        assert await read(catalog, ref(0, 5)) == ["Grüße"]


@pytest.mark.parametrize("where", ["mysql://a:sesame@b/c", "sqlite://", "sqlite:///:memory:", "postgresql:/x://"])
async def test_other_places_are_refused(where: str) -> None:
    with pytest.raises(CatalogError) as refused:
        async with Catalog.open(where):
            pass
    assert "sesame" not in str(refused.value)


async def test_a_file_that_is_no_database_is_a_catalog_error(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"this is no database, and it is long enough to be looked at" * 20)
    with pytest.raises(CatalogError, match=r"catalog database 'catalog\.db'"):
        async with Catalog.open(tmp_path / "catalog.db"):
            pass


async def test_a_catalog_that_lost_a_table_is_not_ready(where: Path | str) -> None:
    async with Catalog.open(where) as catalog:
        await catalog.check()
        await execute(where, "DROP TABLE pieces")
        for asked in (catalog.check(), read(catalog, ref(0, 5))):
            with pytest.raises(CatalogError, match="does not answer"):
                await asked


async def plan(where: Path | str, explain: str) -> list[str]:
    """How a database that has 2,000 documents, and was told nothing of them, goes about the authority's statement."""
    values = {"refs": "[]", "tenant": "acme", "parser": "blocks-1", "index": "idx", "today": TODAY}
    async with Catalog.open(where) as catalog, catalog.database.begin() as connection:
        statement = authority(catalog.database.dialect).params(values)
        compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
        rows = [{**_row(documents), "tenant": "acme", "id": str(n)} for n in range(2000)]
        await connection.execute(sa.insert(documents), rows)
        pieces_of = [{**_row(pieces), "tenant": "acme", "document": str(n % 500), "n": n // 500} for n in range(2000)]
        await connection.execute(sa.insert(pieces), pieces_of)
        return [str(row[-1]) for row in await connection.exec_driver_sql(f"{explain} {compiled}")]


def _row(table: sa.Table) -> dict[str, object]:
    blank = {int: 1, str: "", bytes: b""}
    return {column.name: blank.get(column.type.python_type) for column in table.c}


async def test_the_authority_reads_through_indexes_on_sqlite(tmp_path: Path) -> None:
    steps = await plan(tmp_path / "catalog.db", "EXPLAIN QUERY PLAN")
    assert {step.split()[1] for step in steps if step.startswith("SCAN")} == {"CONSTANT", "each", "mark", "refs"}
    keys = {step.split()[1]: step.partition("(")[2].partition(")")[0] for step in steps if step.startswith("SEARCH")}
    assert list(keys) == ["sequences", "marks", "documents", "newer", "pieces"]
    assert keys["newer"] == "tenant=? AND supersedes=?"
    assert keys["pieces"] == "tenant=? AND document=? AND version=? AND parser=? AND n>? AND n<?"


async def test_the_authority_reads_through_indexes_on_postgres(postgres: Postgres) -> None:
    steps = await plan(postgres.create("catalog"), "EXPLAIN (COSTS OFF)")
    told = "\n".join(steps)
    assert "Index Scan using documents_supersedes on documents newer" in told
    assert "Index Scan using pieces_pkey on pieces" in told
    assert "(n >= refs.first) AND (n <= refs.last)" in told
    assert "Seq Scan on documents" not in told
