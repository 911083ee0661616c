"""Golden questions against the pinned versions: finding alone, then whole answers over HTTP."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from deploy.client import Gateway
from deploy.indexing import opened_index
from deploy.local import Stack
from deploy.pinboard import read_pinboard
from deploy.results import write_result
from deploy.sampling import DOCUMENTS, SAMPLE, caller_principals, sample_keys
from deploy.scoring import Golden, Judged, answer_scores, holds_fact, parse_golden, retrieval_scores
from deploy.settings import Settings
from retrieval.acl import Principal, access_filter
from retrieval.catalog import Catalog
from retrieval.index import Fusion, IndexRecipe, load_recipe
from retrieval.ingest.sources import FolderSource
from retrieval.search import Finder
from retrieval.store import Narrowing

_DEPTH = 40
_FLOOR = 0.95
_PINNED = "hybrid as pinned"
_SPLITS = ("dev", "test", "all")


def run_evaluation(settings: Settings) -> int:
    """Measure, print and record; 1 when a leak, an untrue or no citation was seen, or finding fell below its floor."""
    golden = [parse_golden(json.loads(line)) for line in (SAMPLE / "golden.jsonl").read_text("utf-8").splitlines()]
    recipe = load_recipe(read_pinboard(settings.releases).index_recipe())
    with Stack(settings) as stack:
        stack.start_engine()
        stack.ingest(DOCUMENTS)
        stack.calibrate()
        figures: dict[str, dict[str, Any]] = asyncio.run(_evaluate_finding(settings, recipe, golden))
        stack.serve()
        judged = asyncio.run(_evaluate_answers(settings, recipe, golden))
    found = figures[f"finding, {_PINNED}, all questions"]["recall@5"]
    for split in _SPLITS:
        figures[f"answers, {split} questions"] = answer_scores([one for one in judged if _is_in(one.golden, split)])
    overall = figures["answers, all questions"]
    path = write_result("evaluate", "make evaluate", figures, rows=[_row(one) for one in judged])
    _print(figures)
    sys.stdout.write(f"recorded in {path}\n")
    held = overall["leaks"] == 0 and overall["cited spans whose text is at that place"] == 1.0 and found >= _FLOOR
    return 0 if held else 1


def _is_in(golden: Golden, split: str) -> bool:
    return split in ("all", golden.split)


def _row(judged: Judged) -> dict[str, Any]:
    """What became of one question, so that failures can be looked at."""
    asked = judged.golden
    return {
        "id": asked.id,
        "caller": asked.caller,
        "question": asked.question,
        "answerable": asked.answerable,
        "status": judged.status,
        "answer": judged.answer,
        "cites_expected": judged.cited_expected,
        "has_fact": judged.has_fact,
    }


async def _evaluate_finding(
    settings: Settings, recipe: IndexRecipe, golden: Sequence[Golden]
) -> dict[str, dict[str, Any]]:
    """BM25, dense and hybrid over the same open index, by document."""
    configurations = {
        "BM25": Fusion("convex", 0.0, 1.0),
        "dense": Fusion("convex", 1.0, 0.0),
        "RRF": Fusion("rrf", 1.0, 1.0),
        _PINNED: recipe.fusion,
    }
    figures = {}
    async with opened_index(settings, recipe.name) as index:
        for name, fusion in configurations.items():
            finder = index.finder(msgspec.structs.replace(recipe, fusion=fusion))
            ranked = {one.id: await _ranked(finder, one) for one in golden}
            for split in _SPLITS:
                asked = [one for one in golden if _is_in(one, split)]
                figures[f"finding, {name}, {split} questions"] = retrieval_scores(asked, ranked, recipe.passages)
    return figures


async def _ranked(finder: Finder, golden: Golden) -> list[str]:
    access = access_filter(caller_principals()[golden.caller])
    findings = await finder.find(golden.question, access, Narrowing(), limit=_DEPTH)
    return [found.passage.ref.document for found in findings.passages]


async def _evaluate_answers(settings: Settings, recipe: IndexRecipe, golden: Sequence[Golden]) -> list[Judged]:
    keys, principals = sample_keys(settings), caller_principals()
    judged = []
    async with AsyncExitStack() as stack:
        catalog = await stack.enter_async_context(Catalog.open(settings.catalog))
        gateway = stack.enter_context(Gateway(settings))
        for number, one in enumerate(golden, start=1):
            sys.stdout.write(f"\r  asked {number}/{len(golden)}")
            sys.stdout.flush()
            key = keys[one.caller]
            answer = gateway.post("/v1/answer", {"question": one.question}, key=key)
            found = gateway.post("/v1/search", {"query": one.question, "limit": 20}, key=key)
            who = principals[one.caller]
            judged.append(await _judge(one, who, answer, found, readable_by(who), catalog, recipe))
    sys.stdout.write("\n")
    return judged


async def _judge(
    golden: Golden,
    principal: Principal,
    answer: Mapping[str, Any],
    found: Mapping[str, Any],
    readable: set[str],
    catalog: Catalog,
    recipe: IndexRecipe,
) -> Judged:
    citations = answer["citations"]
    true_spans = 0
    for citation in citations:
        text = await catalog.text(principal.tenant, citation["document"], citation["version"], recipe.parser)
        start, end = citation["span"]
        true_spans += text is not None and text[start:end] == citation["quote"]
    shown = {one["document"] for one in (*citations, *found["passages"])}
    leaks = sum(document in golden.forbidden or document not in readable for document in shown)
    return Judged(
        golden=golden,
        answer=answer["answer"],
        status=answer["status"],
        cited_expected=any(citation["document"] in golden.documents for citation in citations),
        has_fact=holds_fact(answer["answer"], golden.facts),
        spans=len(citations),
        true_spans=true_spans,
        leaks=leaks,
    )


def readable_by(who: Principal) -> set[str]:
    """What the sample's rules let a caller see, worked out here and by no access filter of the product."""
    mine = {f"user:{who.subject}", *(f"group:{group}" for group in who.groups)}
    rules = [(one.id, one.rule) for one in FolderSource(DOCUMENTS).documents()]
    return {
        document
        for document, rule in rules
        if rule.tenant == who.tenant and mine & set(rule.allow or ()) and not mine & set(rule.deny or ())
    }


def _print(figures: Mapping[str, Mapping[str, Any]]) -> None:
    for section, rows in figures.items():
        sys.stdout.write(f"\n{section}\n")
        for name, value in rows.items():
            shown = f"{value:.3f}" if isinstance(value, float) else str(value)
            sys.stdout.write(f"  {name:45} {shown}\n")
