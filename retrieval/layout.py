"""What lies where: one layout for the gateway and for the commands."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr, ValidationError


@dataclass(frozen=True, slots=True)
class PoolingServer:
    """A vLLM server of a pooling model, `http[s]://host:port`, and the key that it asks for, if any."""

    url: str
    api_key: str | None = field(default=None, repr=False)


class Layout:
    """Mixed into settings that have these fields."""

    data: Path
    catalog_url: SecretStr | None
    qdrant_url: str | None
    qdrant_api_key: SecretStr | None
    embedding_url: str | None
    embedding_api_key: SecretStr | None
    reranker_url: str | None
    reranker_api_key: SecretStr | None
    vector_bytes: int
    backup_days: int

    @property
    def catalog(self) -> Path | str:
        """Where the catalog is: a SQLite file, or the URL of another database."""
        return self.catalog_url.get_secret_value() if self.catalog_url else self.data / "catalog.db"

    @property
    def models(self) -> Path:
        """Base models as the engine serves them."""
        return self.data / "models"

    @property
    def converted(self) -> Path:
        """Embedding models in the form that their runtime takes, made from those that recipes name."""
        return self.data / "converted"

    @property
    def embedding_server(self) -> PoolingServer | None:
        """The server that embeds for recipes whose runtime is "vllm"."""
        return _pooling_server(self.embedding_url, self.embedding_api_key)

    @property
    def reranking_server(self) -> PoolingServer | None:
        """The server that reranks for recipes whose reranker's runtime is "vllm"."""
        return _pooling_server(self.reranker_url, self.reranker_api_key)

    @property
    def keys(self) -> Path:
        """The hashed API keys."""
        return self.data / "keys.yaml"

    @property
    def signing_key(self) -> Path:
        """The key that signs receipts of erasures."""
        return self.data / "signing-key.pem"

    @property
    def record_spool(self) -> Path:
        """Records that are not in SQL yet."""
        return self.data / "records" / "spool"

    @property
    def record_head(self) -> Path:
        """How far the chain of records is."""
        return self.data / "records" / "head.jws"

    @property
    def last_release(self) -> Path:
        """The pins that were last in force here."""
        return self.data / "release.json"

    @property
    def indexes(self) -> Path:
        """A folder for each index version whose store is embedded."""
        return self.data / "indexes"

    def index_directory(self, name: str) -> Path:
        """An index version's own folder, with its shard."""
        return self.indexes / name

    @property
    def backup_retention(self) -> timedelta:
        """After how long backups and logs have let go of what was erased."""
        return timedelta(days=self.backup_days)


def _pooling_server(url: str | None, key: SecretStr | None) -> PoolingServer | None:
    return PoolingServer(url, key.get_secret_value() if key else None) if url else None


def settings_refused(error: ValidationError) -> str:
    """What is wrong with settings, in one line; no value is told, as it may be a secret."""
    return "; ".join(f"TWINPIN_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors() if one["loc"])
