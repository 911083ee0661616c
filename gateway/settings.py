"""What a deployment can set; the only online reader of the environment."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from retrieval.layout import Layout
from retrieval.models.room import VECTOR_BYTES

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Settings(BaseSettings, Layout):
    """Every field is read from `TWINPIN_<NAME>`; all have a default that works on one machine."""

    model_config = SettingsConfigDict(
        env_prefix="TWINPIN_", env_ignore_empty=True, extra="ignore", use_attribute_docstrings=True
    )

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8080
    """Port to listen on."""
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
    identity: Path | None = None
    """The file that says which issuers' tokens count; without one only API keys do."""
    engine_url: Annotated[str, Field(pattern=r"^[^,\s]")] = "http://127.0.0.1:8100"
    """Where the model engine listens; of several replicas all, between commas."""
    engine_connections: int = 256
    """Requests that one replica of the engine has at once, at most."""
    first_token_seconds: Annotated[float, Field(gt=0)] = 1.0
    """What an answer may take to its first word; no more are under way at once than keep that."""
    probe_seconds: Annotated[float, Field(ge=0)] = 0.0
    """Seconds between two rounds of leak probes; with 0 there are none."""
    served_model: str = "twinpin"
    """The product model's name in the OpenAI-compatible API."""
    max_body_bytes: int = 524_288
    """Largest request body; above it the answer is 413."""
    max_document_bytes: int = 100_663_296
    """Largest request body under `/v1/documents`."""
    metric_tenants: str | None = None
    """Tenants that metrics count by name, between commas; all others count as one."""
    metrics_open: bool | None = None
    """Whether anybody may read the metrics; unless it is said, only where the gateway listens on loopback."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is logged, from this level on."""
    log_content: bool = False
    """Whether questions, answers and the texts of failures are logged, redacted."""
    traces_url: str | None = None
    """Where spans are sent by OTLP over HTTP; without one there are none."""
    traces_sample: float = 0.1
    """The share of requests that are traced."""
    traces_trust: bool = False
    """Whether a request's `traceparent` is believed."""
    max_concurrency: int = 64
    """Requests in flight per tenant, unless the limits say otherwise; above it the answer is 429."""
    limits: Path | None = None
    """The file of limits per tenant, key and person; without one, requests in flight alone are limited."""
    redis_url: SecretStr | None = None
    """Redis or Valkey, where all gateway processes count together; without one, each counts for itself."""
    redis_lost_share: Annotated[float, Field(gt=0, le=1)] = 0.25
    """The share of every limit that a process goes on with while Redis is gone."""
    cache: Literal["off", "process", "redis"] = "off"
    """Where answers are kept to be given again: nowhere, in this process, or in Redis for all gateways."""
    cache_freshness: Literal["strict", "ttl"] = "strict"
    """Whether any change of a tenant's documents ends its kept answers, or their time alone does."""
    cache_seconds: Annotated[float, Field(gt=0, le=86_400)] = 3_600.0
    """Seconds that an answer is kept, at most."""
    cache_bytes: Annotated[int, Field(gt=0)] = 67_108_864
    """Bytes of answers that a process keeps, at most."""
    cache_secret: SecretStr | None = None
    """What seals answers in Redis and salts prompts: random, 32 characters or more, the same for all gateways."""
    engine_dollars_per_hour: Annotated[float, Field(ge=0)] = 0.0
    """What the engine costs, for effective and idle cost; of an engine that several gateways use, their share."""
    answer_seconds: float = 120.0
    """Deadline of one answer; past it the answer is 504."""
    drain_seconds: Annotated[float, Field(ge=0)] = 5.0
    """Seconds after SIGTERM in which the gateway is not ready and answers still."""
    audit: Literal["best-effort", "required"] = "best-effort"
    """Whether an answer is given only once its record is durable."""
    audit_tenants: str | None = None
    """Tenants for which it is `required` whatever `audit` says, between commas."""
    record_content: Literal["digest", "redacted"] = "digest"
    """What records keep of questions and answers: a digest of the question, or the redacted texts."""
    record_days: int = 365
    """Days after which a record of an answer is emptied; 0 keeps it for ever."""
    record_content_days: int = 30
    """The same for the texts in it."""
    feedback_days: int = 365
    """The same for users' feedback."""
    review_days: int = 365
    """The same for reviewers' decisions."""
    review_below: float = 0.6
    """Answers that are less probable than this are reviewed; only calibrated index versions tell."""

    @property
    def closed_paths(self) -> Path:
        """What leak probes have closed."""
        return self.data / "closed-paths.json"

    @property
    def shows_metrics(self) -> bool:
        """Whether metrics are for everybody who reaches the gateway; they tell of named tenants what they cost."""
        return self.metrics_open if self.metrics_open is not None else self.host in _LOOPBACK

    @property
    def engine_urls(self) -> tuple[str, ...]:
        """Every replica of the engine, once."""
        return tuple(dict.fromkeys(url.rstrip("/") for url in _listed(self.engine_url)))

    @property
    def measured_tenants(self) -> frozenset[str]:
        """Tenants that have series of their own."""
        return _named(self.metric_tenants)

    @property
    def audited_tenants(self) -> frozenset[str]:
        """Tenants that get no answer without its record."""
        return _named(self.audit_tenants)


def _named(told: str | None) -> frozenset[str]:
    return frozenset(_listed(told or ""))


def _listed(told: str) -> Iterator[str]:
    """What stands between commas."""
    return filter(None, map(str.strip, told.split(",")))
