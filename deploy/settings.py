"""What an operator can set for the command line; the only reader of the environment in this package."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, PrivateAttr, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from retrieval.layout import Layout
from retrieval.models.room import VECTOR_BYTES


class Settings(BaseSettings, Layout):
    """Every field is read from `TWINPIN_<NAME>`; the gateway reads the same names where it needs them."""

    model_config = SettingsConfigDict(
        env_prefix="TWINPIN_", env_ignore_empty=True, extra="ignore", use_attribute_docstrings=True
    )

    url: str = "http://127.0.0.1:8080"
    """The gateway that commands talk to; by default the one here, at whatever port is set."""
    api_key: str | None = None
    """The key that commands show to the gateway."""
    data: Path = Path(".twinpin")
    """Folder of the catalog, the indexes, the model weights and the keys."""
    catalog_url: SecretStr | None = None
    """SQLAlchemy URL of the catalog; without one it is a SQLite file in the data folder."""
    qdrant_url: str | None = None
    """The Qdrant server that holds the indexes; without one they are in the data folder."""
    qdrant_api_key: SecretStr | None = None
    """The key for that server."""
    embedding_url: str | None = None
    """The vLLM server that embeds for index versions whose runtime is "vllm"."""
    embedding_api_key: SecretStr | None = None
    """The key for the embedding server."""
    reranker_url: str | None = None
    """The vLLM server that reranks for index versions whose reranker's runtime is "vllm"."""
    reranker_api_key: SecretStr | None = None
    """The key for the reranking server."""
    vector_bytes: Annotated[int, Field(gt=0)] = VECTOR_BYTES
    """Bytes of vectors that each embedder remembers, at most."""
    backup_days: int = 30
    """Days after which backups and database logs have let go of what was erased; receipts say so."""
    record_spool_bytes: int = 268_435_456
    """Bytes of records on disk that SQL has not taken yet, at most."""
    releases: Path = Path("deploy/releases.yaml")
    """The file that pins index and model versions."""
    port: int = 8080
    """Port of the gateway that `run` starts."""
    engine_port: int = 8100
    """Port of the model engine that `run` starts."""
    engine_python: Path = Path(".engine/bin/python")
    """Interpreter of the engine's environment."""

    _elsewhere: bool = PrivateAttr(default=False)

    @model_validator(mode="after")
    def _local_gateway(self) -> Self:
        self._elsewhere = "url" in self.model_fields_set
        if not self._elsewhere:
            self.url = f"http://127.0.0.1:{self.port}"
        return self

    def rows_of(self, evaluation: str) -> Path:
        """Where an evaluation leaves a row for each of its questions: with the data, as they may be anybody's words."""
        folder = self.data / "evaluations"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{evaluation}.jsonl"

    @property
    def elsewhere(self) -> bool:
        """Whether a gateway was named: then documents are its business, and nothing is opened here."""
        return self._elsewhere
