"""A Qdrant server, and what a collection on it has to be to serve as an index version; its errors as ours."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from grpc import RpcError, StatusCode
from qdrant_client import AsyncQdrantClient, models

from retrieval.errors import StoreError
from retrieval.stores import payload

DENSE, SPARSE = "dense", "bm25"
LOCAL = ":memory:"
MOST = 10_000  # what a search may ask for at once: strict mode refuses more
READ_SECONDS, WRITE_SECONDS = 10, 60
_OLDEST = (1, 19)
_PORT = 6334
_NAMED = "a Qdrant server is named as http://host:port or https://host:port, by its gRPC port and without a key"
_CHANNEL = {
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.max_reconnect_backoff_ms": 2_000,
    # All requests share one connection: one that is dead, and was not reset, is noticed and left.
    "grpc.keepalive_time_ms": 5_000,
    "grpc.keepalive_timeout_ms": 5_000,
    "grpc.http2.ping_timeout_ms": 5_000,  # a minute otherwise, also for a ping that keeps alive
    "grpc.http2.max_pings_without_data": 0,
    # Else frames may get so large that garbage passes for the beginning of one, and whatever follows for the rest.
    "grpc.http2.bdp_probe": 0,
}
_REASONS: Mapping[StatusCode, str] = {
    StatusCode.UNAVAILABLE: "cannot be reached over gRPC",
    StatusCode.DEADLINE_EXCEEDED: "does not answer in time",
    StatusCode.CANCELLED: "broke off its answer",
    StatusCode.UNAUTHENTICATED: "does not accept our API key",
    StatusCode.PERMISSION_DENIED: "does not let our API key do this",
    StatusCode.NOT_FOUND: "does not have what was asked for",
    StatusCode.RESOURCE_EXHAUSTED: "has no room or no time for this",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens for gRPC."""

    host: str
    port: int
    encrypted: bool

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def endpoint(url: str) -> Endpoint:
    """Read `http[s]://host[:port]`, with the gRPC port (6334 unless named); StoreError for anything else."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORT
    except ValueError as error:
        raise StoreError(_NAMED) from error
    if parts.scheme not in ("http", "https") or not host or parts.path.strip("/") or "@" in parts.netloc:
        raise StoreError(_NAMED)
    return Endpoint(f"[{host}]" if ":" in host else host, port, parts.scheme == "https")


def connect(server: Endpoint, api_key: str | None) -> AsyncQdrantClient:
    """Everything goes over gRPC; nothing is sent yet."""
    return AsyncQdrantClient(
        host=server.host,
        grpc_port=server.port,
        prefer_grpc=True,
        https=server.encrypted,
        api_key=api_key,
        timeout=WRITE_SECONDS,
        check_compatibility=False,
        grpc_options=dict(_CHANNEL),
    )


async def require_version(client: AsyncQdrantClient) -> None:
    """StoreError when the server would ignore what it does not know: the scope of BM25's statistics."""
    with mapped():
        version = (await client.info()).version
    if _numbers(version) < _OLDEST:
        raise StoreError(
            f"the Qdrant server is {version}, and has to be {_OLDEST[0]}.{_OLDEST[1]} or later: scores of an older one "
            "tell how often a word stands in documents that the caller may not see"
        )


async def require_physical(client: AsyncQdrantClient, collection: str) -> None:
    """StoreError when the name is an alias: it could come to mean another version from one request to the next."""
    with mapped():
        aliases = (await client.get_aliases()).aliases
    if any(alias.alias_name == collection for alias in aliases):
        raise StoreError(f"{collection!r} is an alias on the Qdrant server: pin the collection itself")


async def create(client: AsyncQdrantClient, collection: str, dimensions: int, *, indexed: bool) -> None:
    """Make the collection, and what a creation that died left out, while it is empty; payload indexes before any point.

    Searches are exact, so no graph is built. A local collection cannot be `indexed`.
    """
    with mapped():
        if not await client.collection_exists(collection):
            await client.create_collection(
                collection,
                {DENSE: models.VectorParams(size=dimensions, distance=models.Distance.COSINE)},
                {SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
                hnsw_config=models.HnswConfigDiff(m=0),
                strict_mode_config=_STRICT,
            )
        found = await client.get_collection(collection)
        if indexed and not found.points_count:
            for field in _INDEXES.keys() - found.payload_schema.keys():
                await client.create_payload_index(
                    collection, field, _INDEXES[field], ordering=models.WriteOrdering.STRONG
                )


async def require_shape(client: AsyncQdrantClient, collection: str, dimensions: int, *, indexed: bool) -> None:
    """StoreError when there is no such collection, or with everything about it that does not fit."""
    with mapped():
        found = await client.get_collection(collection) if await client.collection_exists(collection) else None
    if found is None:
        raise StoreError(f"there is no collection {collection!r}: build the index")
    if wrong := [*_wrong_vectors(found.config.params, dimensions), *(_wrong_indexes(found) if indexed else ())]:
        raise StoreError(f"collection {collection!r} does not fit: {'; '.join(wrong)}: build the index anew")


@contextmanager
def mapped() -> Iterator[None]:
    """The client raises what its connection, its conversions and its assertions raise: all of it is ours here."""
    try:
        yield
    except RpcError as error:
        raise StoreError(f"the vector store {_reason(error)}") from error
    except Exception as error:
        raise StoreError(f"the vector store did not answer as it should: {type(error).__name__}") from error


def _reason(error: RpcError) -> str:
    code = error.code() if hasattr(error, "code") else StatusCode.UNKNOWN
    return _REASONS.get(code) or f"refused ({code.name}): {str(error.details())[:300]}"


def _numbers(version: str) -> tuple[int, ...]:
    """Major and minor; a version that is none counts as old."""
    return tuple(int(part) if part.isdigit() else 0 for part in version.split(".")[:2])


_STRICT = models.StrictModeConfig(
    enabled=True,
    max_query_limit=MOST,
    max_timeout=WRITE_SECONDS,
    unindexed_filtering_retrieve=False,
    unindexed_filtering_update=False,
    search_allow_exact=True,
    filter_max_conditions=16,
)
_INDEXES: Mapping[str, Any] = {
    payload.TENANT: models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
    **dict.fromkeys(payload.KEYWORDS, models.PayloadSchemaType.KEYWORD),
    payload.UPDATED: models.PayloadSchemaType.DATETIME,
}


def _wrong_vectors(params: models.CollectionParams, dimensions: int) -> Iterator[str]:
    dense = params.vectors.get(DENSE) if isinstance(params.vectors, dict) else None
    if dense is None or dense.size != dimensions or dense.distance != models.Distance.COSINE:
        yield f"vector {DENSE!r} is not a cosine vector of {dimensions} dimensions"
    sparse = (params.sparse_vectors or {}).get(SPARSE)
    if sparse is None or sparse.modifier != models.Modifier.IDF:
        yield f"sparse vector {SPARSE!r} is not scored with IDF"


def _wrong_indexes(found: models.CollectionInfo) -> Iterator[str]:
    for field, wanted in _INDEXES.items():
        held = found.payload_schema.get(field)
        kind = models.PayloadSchemaType.KEYWORD if field == payload.TENANT else wanted
        if held is None or held.data_type != kind:
            yield f"field {field!r} has no {kind.value} index"
        elif field == payload.TENANT and not getattr(held.params, "is_tenant", False):
            yield f"the index on {field!r} is not a tenant index"
    strict = found.config.strict_mode_config
    if not strict or not strict.enabled or strict.unindexed_filtering_retrieve is not False:
        yield "strict mode is off: a filter on a field without index would be slow, and not refused"
