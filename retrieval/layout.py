"""What lies where in the data folder: one layout for the gateway and for the commands."""

from pathlib import Path


class DataFolder:
    """The places below `data`, for whichever settings have that field."""

    data: Path

    @property
    def catalog_file(self) -> Path:
        """The SQLite catalog, where no other is set."""
        return self.data / "catalog.db"

    @property
    def models(self) -> Path:
        """Base models as the engine serves them."""
        return self.data / "models"

    @property
    def keys(self) -> Path:
        """The hashed API keys."""
        return self.data / "keys.yaml"

    @property
    def last_release(self) -> Path:
        """The pins that were last in force here."""
        return self.data / "release.json"

    def index_directory(self, name: str) -> Path:
        """An index version's own directory, with its shard where the store is embedded."""
        return self.data / "indexes" / name
