"""Whole answers to golden questions over HTTP, each held against the catalog and told by what became of it."""

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.client import MADE_ANEW, Gateway, GatewayRefused
from deploy.golden import GoldenError, principal_of
from deploy.keys import create_key, read_keys, revoke_key
from deploy.local import Stack
from deploy.pinboard import read_pinboard
from deploy.sampling import DOCUMENTS, SAMPLE
from deploy.scoring import Golden, Judged, holds_fact, label, parse_golden
from deploy.settings import Settings
from retrieval.acl import Principal, access_filter
from retrieval.catalog import Catalog
from retrieval.index import IndexRecipe, load_recipe
from retrieval.ingest.sources import FolderSource
from retrieval.live import Progress

_LOOKED_AT = 20
_SCOPES = ("ask", "search")


@dataclass(frozen=True, slots=True)
class Question:
    """A golden question and who asks it."""

    golden: Golden
    principal: Principal


def sample_questions() -> list[Question]:
    """The sample's own, answerable or not."""
    return load_questions(SAMPLE / "golden.jsonl")


def load_questions(path: Path) -> list[Question]:
    """JSON lines as in the sample's file, or with `tenant`, `subject`, `groups`. Errors: GoldenError naming the line.

    `id`, `facts`, `answerable`, `split`, `forbidden` may be left out; no documents means that nothing answers it.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise GoldenError(f"{path.name!r} cannot be read: {error}") from error
    return [_question(line, path.name, number) for number, line in enumerate(lines, start=1) if line.strip()]


def run_answers(settings: Settings, golden: Path | None, progress: Progress) -> list[Judged]:
    """Ask the gateway that runs here, else a stack started for it, with the sample's documents if its questions."""
    questions = load_questions(golden) if golden else sample_questions()
    recipe = load_recipe(read_pinboard(settings.releases).index_recipe())
    with Stack(settings, _say) as stack:
        if not _is_running(settings):
            stack.start_engine()
            if golden is None:
                stack.ingest(DOCUMENTS)
                stack.calibrate()
            stack.serve()
        return asyncio.run(judge_answers(settings, recipe, questions, progress, of_sample=golden is None))


async def judge_answers(
    settings: Settings, recipe: IndexRecipe, questions: Sequence[Question], progress: Progress, *, of_sample: bool
) -> list[Judged]:
    """Ask each of them as its caller; what callers of the sample may see is known without asking the product."""
    readable = {who: readable_by(who) for who in {one.principal for one in questions}} if of_sample else {}
    judged = []
    with _caller_keys(settings, questions) as keys, Gateway(settings) as gateway:
        async with Catalog.open(settings.catalog) as catalog:
            judge = _Judge(catalog, recipe, readable)
            for number, one in enumerate(questions):
                progress(number, len(questions), one.golden.caller)
                key = keys[one.principal]
                asked = {"question": one.golden.question}
                answer = gateway.call("POST", "/v1/answer", asked, key=key, headers=MADE_ANEW)
                found = gateway.post("/v1/search", {"query": one.golden.question, "limit": _LOOKED_AT}, key=key)
                judged.append(await judge.judge(one, answer, found["passages"]))
    return judged


def answer_rows(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """What became of each question, so that failures can be looked at."""
    return [
        {
            "id": one.golden.id,
            "caller": one.golden.caller,
            "question": one.golden.question,
            "gold": list(one.golden.documents),
            "answerable": one.golden.answerable,
            "label": label(one),
            "status": one.status,
            "reason": one.reason,
            "answer": one.answer,
            "cites_expected": one.cited_expected,
            "has_fact": one.has_fact,
            "found": list(one.found),
        }
        for one in judged
    ]


@dataclass(frozen=True, slots=True)
class _Judge:
    catalog: Catalog
    recipe: IndexRecipe
    readable: Mapping[Principal, frozenset[str]]

    async def judge(self, asked: Question, answer: Mapping[str, Any], passages: Sequence[Mapping[str, Any]]) -> Judged:
        golden, citations = asked.golden, answer["citations"]
        known = await self._known(asked)
        seen = {one["document"] for one in (*citations, *passages)}
        return Judged(
            golden=golden,
            answer=answer["answer"],
            status=answer["status"],
            cited_expected=any(citation["document"] in golden.documents for citation in citations),
            has_fact=holds_fact(answer["answer"], golden.facts),
            spans=len(citations),
            true_spans=sum([await self._is_true(asked.principal, citation) for citation in citations]),
            leaks=sum(one in golden.forbidden or not self._may_see(asked.principal, one) for one in seen),
            reason=answer["reason"],
            known=bool(known),
            current=not golden.facts or any(holds_fact(text, golden.facts) for text in known),
            shown=any(one["document"] in golden.documents for one in passages[: self.recipe.passages]),
            found=tuple({"document": one["document"], "rank": n, **one["scores"]} for n, one in enumerate(passages, 1)),
        )

    def _may_see(self, principal: Principal, document: str) -> bool:
        return principal not in self.readable or document in self.readable[principal]

    async def _known(self, asked: Question) -> list[str]:
        """The texts of expected documents that this caller may read."""
        texts = [await self._text(asked.principal, name) for name in asked.golden.documents]
        return [text for text in texts if text is not None]

    async def _text(self, principal: Principal, name: str) -> str | None:
        document = await self.catalog.get(principal.tenant, name)
        if document is None or not access_filter(principal).permits(document.access):
            return None
        return await self.catalog.text(principal.tenant, name, document.version, self.recipe.parser)

    async def _is_true(self, principal: Principal, citation: Mapping[str, Any]) -> bool:
        version = citation["version"]
        text = await self.catalog.text(principal.tenant, citation["document"], version, self.recipe.parser)
        start, end = citation["span"]
        return text is not None and bool(text[start:end] == citation["quote"])


def _say(line: str) -> None:
    """Standard output is for what was measured."""
    sys.stderr.write(f"{line}\n")


def readable_by(who: Principal) -> frozenset[str]:
    """What the sample's rules let a caller see, worked out here and by no access filter of the product."""
    mine = {f"user:{who.subject}", *(f"group:{group}" for group in who.groups)}
    rules = [(one.id, one.rule) for one in FolderSource(DOCUMENTS).documents()]
    return frozenset(
        document
        for document, rule in rules
        if rule.tenant == who.tenant and mine & set(rule.allow or ()) and not mine & set(rule.deny or ())
    )


def _question(line: str, name: str, number: int) -> Question:
    try:
        row = json.loads(line)
        principal = principal_of(row)
        named = {"id": str(number), "caller": f"{principal.subject} of {principal.tenant}", **row}
        return Question(parse_golden(named), principal)
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        told = "a JSON object with question, documents and tenant, subject, groups (or a caller of the sample)"
        raise GoldenError(f"line {number} of {name!r} is not {told}: {error}") from error


@contextmanager
def _caller_keys(settings: Settings, questions: Sequence[Question]) -> Iterator[Mapping[Principal, str | None]]:
    """A key for each caller while they ask; a gateway elsewhere knows the one key that is set, and no other."""
    principals = {one.principal for one in questions}
    if settings.elsewhere:
        yield dict.fromkeys(principals)
        return
    made = {
        one: create_key(settings.keys, tenant=one.tenant, subject=one.subject, groups=one.groups, scopes=_SCOPES)
        for one in principals
    }
    try:
        yield made
    finally:
        for secret in made.values():
            if key := read_keys(settings.keys).find(secret):
                revoke_key(settings.keys, key.prefix)


def _is_running(settings: Settings) -> bool:
    """Whether a gateway answers at the address that commands talk to, ready or not."""
    try:
        with Gateway(settings) as gateway:
            gateway.call("GET", "/readyz", key="none is needed")
    except GatewayRefused as refused:
        return refused.status is not None
    return True
