"""The catalog's tables through the releases: Alembic's revisions, run from here and without a file of settings."""

from pathlib import Path

import sqlalchemy as sa

from retrieval.errors import CatalogError
from retrieval.sql.tables import tables

HEAD = "0007"


def revision(connection: sa.Connection) -> str | None:
    """The revision that a database is at; none when there is no catalog that this product has revisions of."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def upgrade(connection: sa.Connection, name: str) -> None:
    """Bring the tables up to this release, in the caller's transaction.

    Errors: CatalogError for tables of a release without revisions, and for a revision that this release does not know.
    """
    from alembic import command  # a third of a second, and a catalog is seldom new
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    found = revision(connection)
    if found == HEAD:
        return
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    _refuse_strangers(connection, name, found, known)
    command.upgrade(config, "head")


def _refuse_strangers(connection: sa.Connection, name: str, found: str | None, known: set[str]) -> None:
    if found is not None and found not in known:
        raise CatalogError(
            f"the catalog {name!r} is at revision {found!r}, which this release does not know: "
            "run the release that made it, or a later one"
        )
    if found is None and not tables.tables.keys().isdisjoint(sa.inspect(connection).get_table_names()):
        raise CatalogError(
            f"the catalog {name!r} was made by a release that kept no originals: move it and the indexes away, "
            "and ingest every source again"
        )
