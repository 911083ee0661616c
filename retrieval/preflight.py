"""What is checked of an index version before it may take traffic: each check by itself, none by trust.

It must be reachable, built as its recipe says and able to find so, whole, as far as the catalog is, and show nobody
what is not theirs.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from retrieval.acl import AccessFilter, Principal, access_filter
from retrieval.calibration import Calibration
from retrieval.catalog import Document
from retrieval.errors import CatalogError, PreflightFailed, RecipeError, StoreError
from retrieval.index import IndexRecipe
from retrieval.live import LiveIndex
from retrieval.sparse import Bm25Encoder
from retrieval.store import HybridQuery, Narrowing

_PROBED, _LIMIT = 40, 100
_STRANGER = "tenant-of-nobody"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, and what was found; `warns` of what passes, but had better be otherwise."""

    name: str
    passed: bool
    found: str
    warns: bool = False


async def preflight(index: LiveIndex, seed: int = 0) -> list[Check]:
    """Run all checks; the documents probed for access are drawn by `seed`."""
    sealed = await index.catalog.manifest(index.name)
    checks = [
        Check("sealed by this recipe", sealed is not None and sealed.recipe == index.recipe, _seal_told(sealed)),
        _calibrated(index.recipe, sealed.calibration if sealed else None),
        await _attempt("can find as its recipe says", lambda: _findable(index)),
        await _attempt("reachable, dimensions and payload indexes as built", lambda: _verified(index)),
        await _attempt("holds what the catalog noted", lambda: _whole(index)),
        await _current(index),
    ]
    documents = await _sample(index, random.Random(seed))  # noqa: S311 - a sample, no secret
    return [*checks, await _documents_held(index), await _access_probe(index, documents)]


def passed(checks: Iterable[Check]) -> bool:
    """Whether the version may take traffic."""
    return all(check.passed for check in checks)


async def require_fit(index: LiveIndex) -> None:
    """PreflightFailed unless every check passes."""
    if failed := [f"{check.name}: {check.found}" for check in await preflight(index) if not check.passed]:
        raise PreflightFailed(f"index {index.name!r} failed its pre-flight ({'; '.join(failed)})")


async def _attempt(name: str, look: Callable[[], Awaitable[str]]) -> Check:
    try:
        return Check(name, True, await look())
    except (StoreError, CatalogError, RecipeError) as error:
        return Check(name, False, str(error))


def _calibrated(recipe: IndexRecipe, calibration: Calibration | None) -> Check:
    """A threshold means nothing under another version, whose confidence is another number."""
    name = "calibrated for this version"
    if calibration is None:
        told = f"no: {recipe.abstain_below:g} of its recipe decides; `twinpin index calibrate {recipe.name}`"
        return Check(name, True, told, warns=True)
    day = calibration.fitted.date()
    told = f"for {calibration.index}, on {day}, threshold {calibration.threshold:g}, AUC {calibration.auc:.3f}"
    return Check(name, calibration.index == recipe.name, told)


async def _findable(index: LiveIndex) -> str:
    await asyncio.to_thread(index.finder)
    return "embedder and reranker do what it asks of them"


async def _verified(index: LiveIndex) -> str:
    await index.store.verify(index.recipe.embedder.dimensions)
    return f"{index.recipe.embedder.dimensions} dimensions"


async def _whole(index: LiveIndex) -> str:
    await index.require_whole()
    return f"{await index.store.count()} chunks"


async def _current(index: LiveIndex) -> Check:
    """New content may be on its way, from another process for instance; what took something away has to be in."""
    marks, heads = await index.catalog.marks(index.name), await index.catalog.sequences()
    blind = sum(marks.get(tenant, 0) < head.required for tenant, head in heads.items())
    told = f"{len(heads) - blind} of {len(heads)} tenants"
    return Check("has heard of every deletion and change of access", not blind, told)


async def _documents_held(index: LiveIndex) -> Check:
    """A document without words has no chunks and still is held; while content is on its way, counts differ."""
    behind = await index.behind()
    held, documents = len(await index.catalog.held(index.name)), len(await _all(index))
    told = f"{held} of {documents} documents{', with more on their way' if behind else ''}"
    return Check("holds every document", behind or held == documents, told)


async def _access_probe(index: LiveIndex, documents: Sequence[Document]) -> Check:
    """Ask for each document with its own words, as those who may not see it; and as one who may, as the control.

    An index that shows nothing to anybody has proved nothing.
    """
    leaks, shown, worded = 0, 0, 0
    groups = _groups(documents)
    for document in documents:
        await asyncio.sleep(0)  # an embedded engine leaves the event loop no turn by itself
        query = await _own_words(index, document)
        for who in _forbidden(document, groups):
            leaks += await _finds(index, query, access_filter(who), document)
        shown += await _finds(index, query, access_filter(_permitted(document)), document)
        held = await index.catalog.holding(index.name, document.access.tenant, document.id)
        worded += held is not None and held.chunks > 0
    told = f"{leaks} of {len(documents)} documents shown to others, {shown} to their readers"
    return Check("shows nobody what is not theirs", leaks == 0 and (shown > 0 or worded == 0), told)


async def _finds(index: LiveIndex, query: HybridQuery, access: AccessFilter, document: Document) -> bool:
    """Whether the store alone, without the catalog's check, would hand this document's chunks on."""
    legs = await index.store.score(query, access, Narrowing())
    chunks = [chunk for chunk, _ in (*legs.dense, *legs.sparse)]
    fetched = await index.store.fetch(list(dict.fromkeys(chunks)), access)
    return fetched.forbidden > 0 or any(hit.ref.document == document.id for hit in fetched.hits)


async def _own_words(index: LiveIndex, document: Document) -> HybridQuery:
    text = await index.catalog.text(document.access.tenant, document.id, document.version, index.recipe.parser)
    words = " ".join((text or document.title).split()[:60])
    dense = await index.embedder.embed_query(words)
    return HybridQuery(dense, Bm25Encoder(index.recipe.bm25).query(words), _LIMIT)


async def _sample(index: LiveIndex, rng: random.Random) -> list[Document]:
    readable = [one for one in await _all(index) if one.access.allow - one.access.deny]
    return rng.sample(readable, min(_PROBED, len(readable)))


async def _all(index: LiveIndex) -> list[Document]:
    return [document async for document in index.catalog.each(None)]


def _groups(documents: Sequence[Document]) -> frozenset[str]:
    return frozenset(
        grant.removeprefix("group:") for one in documents for grant in one.access.allow if grant.startswith("group:")
    )


def _permitted(document: Document) -> Principal:
    """A reader made of one grant that the document gives and does not deny."""
    kind, _, name = sorted(document.access.allow - document.access.deny)[0].partition(":")
    return _principal(document.access.tenant, name if kind == "user" else "", [name] if kind == "group" else [])


def _forbidden(document: Document, groups: frozenset[str]) -> list[Principal]:
    """Those with the same groups in another tenant, those with none, those with all but the right ones, the denied."""
    tenant, access = document.access.tenant, document.access
    others = sorted(group for group in groups if f"group:{group}" not in access.allow)
    outside = [_principal(_STRANGER, "", sorted(groups)), _principal(tenant, "", []), _principal(tenant, "", others)]
    denied = [grant.removeprefix("group:") for grant in sorted(access.deny) if grant.startswith("group:")]
    return [*outside, *(_principal(tenant, "", [*sorted(groups), group]) for group in denied)]


def _principal(tenant: str, subject: str, groups: Sequence[str]) -> Principal:
    return Principal(tenant, subject, frozenset(groups), frozenset())


def _seal_told(sealed: object) -> str:
    return "not sealed" if sealed is None else "sealed"
