"""A Qdrant server's gRPC face over qdrant-client's local mode: what goes over the wire is what goes to a real one."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from qdrant_client import AsyncQdrantClient, models
from qdrant_client import grpc as wire
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc


@dataclass
class Double:
    """`heard` are the requests by method; `broken` answers a method with a status instead, or with nothing in time."""

    version: str = "1.19.0"
    url: str = ""
    local: AsyncQdrantClient = field(default_factory=lambda: AsyncQdrantClient(":memory:"))
    indexes: dict[str, dict[str, models.PayloadIndexInfo]] = field(default_factory=dict)
    strict: dict[str, models.StrictModeConfig] = field(default_factory=dict)
    heard: list[tuple[str, Any, dict[str, str]]] = field(default_factory=list)
    broken: dict[str, Callable[[Any], Awaitable[Any]]] = field(default_factory=dict)

    def requests(self, method: str) -> list[Any]:
        """What was asked of one method."""
        return [request for name, request, _ in self.heard if name == method]

    async def health_check(self, _: Any) -> Any:
        return wire.HealthCheckReply(title="qdrant", version=self.version)

    async def list_aliases(self, _: Any) -> Any:
        held = (await self.local.get_aliases()).aliases
        described = [wire.AliasDescription(alias_name=a.alias_name, collection_name=a.collection_name) for a in held]
        return wire.ListAliasesResponse(aliases=described)

    async def collection_exists(self, request: Any) -> Any:
        exists = await self.local.collection_exists(request.collection_name)
        return wire.CollectionExistsResponse(result=wire.CollectionExists(exists=exists))

    async def create(self, request: Any) -> Any:
        name = request.collection_name
        vectors = GrpcToRest.convert_vectors_config(request.vectors_config)
        sparse = GrpcToRest.convert_sparse_vector_config(request.sparse_vectors_config)
        assert isinstance(vectors, dict)
        await self.local.create_collection(name, vectors, sparse)
        self.indexes[name] = {}
        self.strict[name] = GrpcToRest.convert_strict_mode_config(request.strict_mode_config)
        return wire.CollectionOperationResponse(result=True)

    async def delete_collection(self, request: Any) -> Any:
        return wire.CollectionOperationResponse(result=await self.local.delete_collection(request.collection_name))

    async def get_collection(self, request: Any) -> Any:
        found = await self.local.get_collection(request.collection_name)
        found.payload_schema = self.indexes[request.collection_name]
        described = self.strict[request.collection_name].model_dump()
        found.config.strict_mode_config = models.StrictModeConfigOutput.model_validate(described)
        return wire.GetCollectionInfoResponse(result=RestToGrpc.convert_collection_info(found))

    async def create_field_index(self, request: Any) -> Any:
        params = request.field_index_params if request.HasField("field_index_params") else None
        held = GrpcToRest.convert_payload_schema_params(params) if params is not None else None
        kind = "datetime" if request.field_type == wire.FieldType.FieldTypeDatetime else "keyword"
        info = models.PayloadIndexInfo(data_type=models.PayloadSchemaType(kind), params=held, points=0)
        self.indexes[request.collection_name][request.field_name] = info
        return _done()

    async def upsert(self, request: Any) -> Any:
        points = [GrpcToRest.convert_point_struct(point) for point in request.points]
        await self.local.upsert(request.collection_name, points)
        return _done()

    async def set_payload(self, request: Any) -> Any:
        fields = GrpcToRest.convert_payload(request.payload)
        chosen = GrpcToRest.convert_points_selector(request.points_selector)
        await self._require_indexed(request.collection_name, request.points_selector.filter)
        await self.local.set_payload(request.collection_name, fields, chosen)
        return _done()

    async def delete(self, request: Any) -> Any:
        await self._require_indexed(request.collection_name, request.points.filter)
        await self.local.delete(request.collection_name, GrpcToRest.convert_points_selector(request.points))
        return _done()

    async def count(self, request: Any) -> Any:
        chosen = GrpcToRest.convert_filter(request.filter) if request.HasField("filter") else None
        counted = await self.local.count(request.collection_name, chosen, exact=True)
        return wire.CountResponse(result=wire.CountResult(count=counted.count))

    async def get(self, request: Any) -> Any:
        ids = [GrpcToRest.convert_point_id(one) for one in request.ids]
        records = await self.local.retrieve(request.collection_name, ids, with_payload=True)
        return wire.GetResponse(result=[RestToGrpc.convert_record(record) for record in records])

    async def query_batch(self, request: Any) -> Any:
        asked = [GrpcToRest.convert_query_points(one) for one in request.query_points]
        for one in request.query_points:
            await self._require_indexed(request.collection_name, one.filter)
            await self._require_indexed(request.collection_name, one.params.idf.corpus)
            assert one.limit <= (self.strict[request.collection_name].max_query_limit or 0)
        answers = await self.local.query_batch_points(request.collection_name, asked)
        batches = [wire.BatchResult(result=map(RestToGrpc.convert_scored_point, one.points)) for one in answers]
        return wire.QueryBatchResponse(result=batches)

    async def _require_indexed(self, collection: str, chosen: Any) -> None:
        """What strict mode refuses; `Refused` travels as a status."""
        keys = {one.field.key for one in (*chosen.must, *chosen.must_not, *chosen.should) if one.HasField("field")}
        if missing := keys - self.indexes[collection].keys():
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"Index required but not found for {sorted(missing)}")


class Refused(Exception):
    """A status that the client is to see."""

    def __init__(self, code: Any, details: str) -> None:
        super().__init__(details)
        self.code = code


def _done(status: Any = wire.UpdateStatus.Completed) -> Any:
    return wire.PointsOperationResponse(result=wire.UpdateResult(operation_id=1, status=status))


_METHODS: Mapping[str, Mapping[str, tuple[Callable[[Double, Any], Awaitable[Any]], Any]]] = {
    "qdrant.Qdrant": {"HealthCheck": (Double.health_check, wire.HealthCheckRequest)},
    "qdrant.Collections": {
        "ListAliases": (Double.list_aliases, wire.ListAliasesRequest),
        "CollectionExists": (Double.collection_exists, wire.CollectionExistsRequest),
        "Create": (Double.create, wire.CreateCollection),
        "Delete": (Double.delete_collection, wire.DeleteCollection),
        "Get": (Double.get_collection, wire.GetCollectionInfoRequest),
    },
    "qdrant.Points": {
        "CreateFieldIndex": (Double.create_field_index, wire.CreateFieldIndexCollection),
        "Upsert": (Double.upsert, wire.UpsertPoints),
        "SetPayload": (Double.set_payload, wire.SetPayloadPoints),
        "Delete": (Double.delete, wire.DeletePoints),
        "Count": (Double.count, wire.CountPoints),
        "Get": (Double.get, wire.GetPoints),
        "QueryBatch": (Double.query_batch, wire.QueryBatchPoints),
    },
}


@asynccontextmanager
async def running() -> AsyncIterator[Double]:
    """The double behind a port of its own on loopback."""
    double = Double()
    server = grpc.aio.server()
    for service, methods in _METHODS.items():
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                _handler(double, f"{service.rpartition('.')[2]}.{name}", answer),
                request_deserializer=kind.FromString,
                response_serializer=lambda reply: reply.SerializeToString(),
            )
            for name, (answer, kind) in methods.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    double.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield double
    finally:
        await server.stop(0)
        await double.local.close()


def _handler(double: Double, name: str, answer: Callable[[Double, Any], Awaitable[Any]]) -> Any:
    async def handle(request: Any, context: Any) -> Any:
        double.heard.append((name, request, dict(context.invocation_metadata())))
        try:
            return await (double.broken[name](request) if name in double.broken else answer(double, request))
        except Refused as refused:
            await context.abort(refused.code, str(refused))

    return handle
