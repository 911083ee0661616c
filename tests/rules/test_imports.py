"""Where the outside comes in: each third party through its own files, no cycles, no drawers for leftovers."""

import ast
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

import pytest

OURS = {"gateway", "retrieval", "serving", "deploy", "loadtests"}
# Vocabulary that any file may use: values in and out, and the operator's terminal and log.
ANYWHERE = {"msgspec", "yaml", "pydantic", "structlog", "rich"}
# Everything else comes in through these files and nowhere else; a new client needs a line here, and thought.
THROUGH: Mapping[str, set[str]] = {
    "aiohttp": {
        "gateway/identity/sources.py",
        "retrieval/models/vllm_pooling.py",
        "serving/vllm_client.py",
        "serving/scripted_server.py",
    },
    "alembic": {"retrieval/sql/migrations/"},
    "arro3": {"deploy/exporting.py"},
    "asyncpg": {"retrieval/sql/database.py", "retrieval/ingest/sources/query.py"},
    "cryptography": {"gateway/cache/sealing.py"},
    "docx": {
        "retrieval/ingest/formats/docx.py",
        "retrieval/ingest/formats/wordstyles.py",
        "deploy/sample/make_binaries.py",
    },
    "fastapi": {
        "gateway/app.py",
        "gateway/http/",
        "gateway/documents/access.py",
        "gateway/documents/requests.py",
        "gateway/parts.py",
        "gateway/health/probes.py",
        "gateway/routes/",
        "gateway/scopes.py",
    },
    "grpc": {"retrieval/stores/qdrant_server.py"},
    "httpx2": {"deploy/client.py", "retrieval/ingest/sources/api.py", "retrieval/ingest/sources/transport.py"},
    "ir_measures": {"deploy/ranking.py"},
    "joserfc": {"gateway/identity/tokens.py", "retrieval/receipt.py"},
    "jsonschema_rs": {"serving/output.py"},
    "liteparse": {
        "retrieval/ingest/formats/pdf.py",
        "retrieval/ingest/formats/pdfgrid.py",
        "retrieval/ingest/formats/pdfheadings.py",
    },
    "lxml": {"retrieval/ingest/formats/xmltree.py"},
    "mcp": {"gateway/routes/mcp.py"},
    "markdown_it": {"deploy/evaluate_attacks.py", "retrieval/ingest/formats/markdown.py"},
    "numpy": {
        "deploy/bench_access.py",
        "deploy/ranking.py",
        "retrieval/models/encoder_openvino.py",
        "retrieval/models/fingerprint.py",
        "retrieval/models/likeness.py",
    },
    "opentelemetry": {"gateway/telemetry/tracing.py"},
    "openvino": {"retrieval/models/encoder_openvino.py"},
    "locust": {"loadtests/locustfile.py", "loadtests/users.py"},
    "pathspec": {"retrieval/ingest/sources/rules.py"},
    "pptx": {"retrieval/ingest/formats/charts.py", "retrieval/ingest/formats/pptx.py"},
    "prometheus_client": {"gateway/telemetry/exposition.py", "gateway/telemetry/families.py"},
    "pydantic_settings": {"gateway/settings.py", "deploy/settings.py"},
    "pypdfium2": {"retrieval/ingest/formats/pdf.py"},
    "python_calamine": {"retrieval/ingest/formats/xlsx.py"},
    "qdrant_client": {"retrieval/stores/qdrant_server.py", "retrieval/stores/qdrant_store.py"},
    # the engine, its files, and the BM25 that it scores with
    "qdrant_edge": {"retrieval/stores/edge_store.py", "retrieval/stores/shard.py", "retrieval/sparse.py"},
    "redis": {"gateway/redis_link.py"},
    "reportlab": {"deploy/sample/make_binaries.py"},
    "resiliparse": {"retrieval/ingest/formats/encoding.py"},
    "selectolax": {"retrieval/ingest/formats/html.py"},
    "sentence_transformers": {"retrieval/models/encoder_torch.py", "retrieval/models/rerank_local.py"},
    "sqlalchemy": {
        "retrieval/sql/authority.py",
        "retrieval/catalog.py",
        "retrieval/records/book.py",
        "retrieval/records/forgetting.py",
        "retrieval/records/late.py",
        "retrieval/sql/database.py",
        "retrieval/ingest/sources/query.py",
        "retrieval/sql/ingestions.py",
        "retrieval/sql/ledger.py",
        "retrieval/sql/listed.py",
        "retrieval/sql/mentions.py",
        "retrieval/sql/migrations/",
        "retrieval/sql/reader.py",
        "retrieval/sql/recording.py",
        "retrieval/sql/tables.py",
        "retrieval/sql/usage.py",
    },
    "starlette": {
        "gateway/app.py",
        "gateway/http/",
        "gateway/health/probes.py",
        "gateway/routes/",
        "gateway/streaming.py",
    },
    "tokenizers": {"retrieval/models/encoder_openvino.py", "retrieval/models/modelfolder.py", "serving/tokens.py"},
    "torch": {
        "deploy/training/learning.py",
        "retrieval/models/conversion.py",
        "retrieval/models/encoder_torch.py",
        "retrieval/models/rerank_local.py",
        "serving/weights.py",
    },
    "transformers": {"retrieval/models/encoder_torch.py", "retrieval/models/rerank_local.py", "serving/weights.py"},
    "typer": {"deploy/__main__.py", "deploy/commands/"},
    "uvicorn": {"gateway/http/server.py"},
}
DRAWERS = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "misc", "shared", "base", "core"}


def imported(tree: ast.AST) -> Iterator[tuple[str, ...]]:
    """Every imported dotted name, with the names taken from it; what only type checkers import is left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name,) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield (str(node.module), *(alias.name for alias in node.names))
        else:
            yield from imported(node)


def test_a_third_party_comes_in_through_its_own_files(modules: list[Any]) -> None:
    used: set[tuple[str, str]] = set()
    wrong = []
    for module in modules:
        for top in {name.partition(".")[0] for name, *_ in imported(module.tree)} - OURS - ANYWHERE:
            if top not in sys.stdlib_module_names:
                ways = {(top, way) for way in THROUGH.get(top, set()) if leads_through(way, module.path)}
                used |= ways
                wrong += [] if ways else [f"{top} in {module.path}"]
    assert wrong == []
    assert used == {(top, way) for top, ways in THROUGH.items() for way in ways}, "the table names what is no more"


def leads_through(way: str, path: str) -> bool:
    return path.startswith(way) if way.endswith("/") else path == way


def test_no_import_goes_in_a_circle(modules: list[Any]) -> None:
    """Imports inside of functions count too: one that is hidden there is still one."""
    names = {module.name for module in modules}
    graph: dict[str, set[str]] = {}
    for module in modules:
        wanted = set()
        for name, *taken in imported(module.tree):
            inside = {f"{name}.{part}" for part in taken} & names
            wanted |= inside or ({name} & names)
        graph[module.name] = wanted - {module.name}
    assert len(graph) > 50, "the control: the modules were found"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"an import cycle: {' -> '.join(error.args[1])}")


def test_no_module_is_a_drawer_for_leftovers(modules: list[Any]) -> None:
    assert not [module.path for module in modules if DRAWERS & set(module.name.split("."))]
