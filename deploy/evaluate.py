"""Golden questions against the pinned versions: finding alone, then whole answers over HTTP."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from deploy.client import post
from deploy.local import Stack
from deploy.pinboard import read_pinboard
from deploy.results import write_result
from deploy.sampling import DOCUMENTS, SAMPLE, caller_principals, sample_keys
from deploy.scoring import Golden, Judged, answer_scores, holds_fact, parse_golden, retrieval_scores
from deploy.settings import Settings
from retrieval.acl import Principal, access_filter
from retrieval.catalog import Catalog, Document
from retrieval.edge_store import EdgeStore
from retrieval.embed import open_embedder
from retrieval.index import Fusion, IndexRecipe, load_recipe
from retrieval.search import Finder
from retrieval.store import Narrowing

_DEPTH = 40


def run_evaluation(settings: Settings) -> int:
    """Measure, print and record; 1 when a leak or an untrue citation was seen."""
    golden = [parse_golden(json.loads(line)) for line in (SAMPLE / "golden.jsonl").read_text("utf-8").splitlines()]
    recipe = load_recipe(read_pinboard(settings.releases).index_recipe())
    with Stack(settings) as stack:
        stack.start_engine()
        stack.ingest(DOCUMENTS)
        figures: dict[str, dict[str, Any]] = asyncio.run(_evaluate_finding(settings, recipe, golden))
        stack.serve()
        judged = asyncio.run(_evaluate_answers(settings, recipe, golden))
    for split in ("dev", "test"):
        figures[f"answers, {split} questions"] = answer_scores([one for one in judged if one.golden.split == split])
    overall = figures["answers, all questions"] = answer_scores(judged)
    path = write_result("evaluate", "make evaluate", figures)
    _print(figures)
    sys.stdout.write(f"recorded in {path}\n")
    return 0 if overall["leaks"] == 0 and overall["cited spans whose text is at that place"] == 1.0 else 1


async def _evaluate_finding(
    settings: Settings, recipe: IndexRecipe, golden: Sequence[Golden]
) -> dict[str, dict[str, Any]]:
    """BM25, dense and hybrid over the same open index, by document."""
    pinned = recipe.fusion
    configurations = {
        "BM25": Fusion("convex", 0.0, 1.0),
        "dense": Fusion("convex", 1.0, 0.0),
        "RRF": Fusion("rrf", 1.0, 1.0),
        f"hybrid (pinned: {pinned.kind} {pinned.dense:g}/{pinned.sparse:g})": pinned,
    }
    embedder = open_embedder(recipe.embedder)
    store = EdgeStore.open(settings.index_directory(recipe.name), recipe.embedder.dimensions)
    figures = {}
    async with Catalog.open(settings.catalog) as catalog:
        for name, fusion in configurations.items():
            finder = Finder(msgspec.structs.replace(recipe, fusion=fusion), embedder, store, catalog)
            ranked = {one.id: await _ranked(finder, one) for one in golden}
            figures[f"finding, {name}"] = retrieval_scores(golden, ranked)
    await store.close()
    embedder.close()
    return figures


async def _ranked(finder: Finder, golden: Golden) -> list[str]:
    access = access_filter(caller_principals()[golden.caller])
    findings = await finder.find(golden.question, access, Narrowing(), limit=_DEPTH)
    return [found.passage.ref.document for found in findings.passages]


async def _evaluate_answers(settings: Settings, recipe: IndexRecipe, golden: Sequence[Golden]) -> list[Judged]:
    keys, principals = sample_keys(settings), caller_principals()
    judged = []
    async with Catalog.open(settings.catalog) as catalog:
        documents = {(one.access.tenant, one.id): one for one in await catalog.documents()}
        for number, one in enumerate(golden, start=1):
            sys.stdout.write(f"\r  asked {number}/{len(golden)}")
            sys.stdout.flush()
            key = keys[one.caller]
            answer = await asyncio.to_thread(post, settings, "/v1/answer", {"question": one.question}, key=key)
            found = await asyncio.to_thread(post, settings, "/v1/search", {"query": one.question, "limit": 20}, key=key)
            judged.append(await _judge(one, principals[one.caller], answer, found, documents, catalog, recipe))
    sys.stdout.write("\n")
    return judged


async def _judge(
    golden: Golden,
    principal: Principal,
    answer: Mapping[str, Any],
    found: Mapping[str, Any],
    documents: Mapping[tuple[str, str], Document],
    catalog: Catalog,
    recipe: IndexRecipe,
) -> Judged:
    citations = answer["citations"]
    true_spans = 0
    for citation in citations:
        text = await catalog.text(principal.tenant, citation["document"], citation["version"], recipe.parser)
        start, end = citation["span"]
        true_spans += text is not None and text[start:end] == citation["quote"]
    permitted = access_filter(principal).permits
    shown = {one["document"] for one in (*citations, *found["passages"])}
    leaks = sum(not permitted(documents[principal.tenant, document].access) for document in shown)
    return Judged(
        golden=golden,
        status=answer["status"],
        cited_expected=any(citation["document"] in golden.documents for citation in citations),
        has_fact=holds_fact(answer["answer"], golden.facts),
        spans=len(citations),
        true_spans=true_spans,
        leaks=leaks,
    )


def _print(figures: Mapping[str, Mapping[str, Any]]) -> None:
    for section, rows in figures.items():
        sys.stdout.write(f"\n{section}\n")
        for name, value in rows.items():
            shown = f"{value:.3f}" if isinstance(value, float) else str(value)
            sys.stdout.write(f"  {name:45} {shown}\n")
