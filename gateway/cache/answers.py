"""Which kept answer may be given to whom: found by all that decides it, and held against the catalog each time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from gateway.answers.draft import Draft
from gateway.answers.exchange import Exchange
from gateway.answers.made import Made
from gateway.cache.entry import Entry, decoded, encoded
from gateway.cache.names import Names
from gateway.cache.store import ANY, Kept, Store
from gateway.telemetry.metrics import Metrics
from retrieval.acl import AccessFilter, PermissionScope, access_filter
from retrieval.catalog import Catalog, Passage
from retrieval.errors import CatalogError, IndexBehind
from retrieval.findings import Findings
from retrieval.index import IndexRecipe
from retrieval.passages.freshness import utc_today

Freshness = Literal["strict", "ttl"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model's answer to a caller's question is on this day.

    `sequence` is the tenant's when it was asked, `scope` the caller's then.
    """

    name: str
    model: str
    access: AccessFilter
    scope: PermissionScope
    recipe: IndexRecipe
    sequence: int
    today: date


class Answers:
    """`strict` gives nothing that was made before the last change of the tenant's documents, whatever that was.

    By `ttl` an answer is given for as long as it is kept; then it is the check of its passages alone that guards it.
    """

    def __init__(
        self,
        store: Store,
        names: Names,
        catalog: Catalog,
        metrics: Metrics,
        *,
        seconds: float,
        freshness: Freshness,
        now: Callable[[], float] = time.time,
        today: Callable[[], date] = utc_today,
    ) -> None:
        self._store = store
        self._names = names
        self._catalog = catalog
        self._metrics = metrics
        self._seconds = seconds
        self.strict = freshness == "strict"
        self._now = now
        self._today = today

    async def place(self, exchange: Exchange) -> Place | None:
        """None while the index has not applied all changes: what it finds now it may not find in a moment."""
        access, today, pins = access_filter(exchange.principal), self._today(), exchange.pins
        standing = await self._catalog.standing(pins.index, access.tenant)
        if not standing.settled:
            return None
        scope = await self._catalog.scope(access)
        name = self._names.answer(exchange.asked, scope, pins, today)
        return Place(name, pins.model, access, scope, pins.index_version.recipe, standing.value, today)

    async def find(self, place: Place, max_age: int | None) -> Made | None:
        """An answer that a cold run could give this caller now, not older than `max_age` seconds."""
        kept = await self._store.get(place.access.tenant, place.name)
        entry = None if kept is None else decoded(place.name, kept.value)
        why_not = "absent" if entry is None else await self._why_not(entry, place, max_age)
        if entry is None or why_not is not None:
            self._metrics.cache("miss", why_not or "absent")
            return None
        self._metrics.cache("hit", "kept")
        return entry.made

    async def _why_not(self, entry: Entry, place: Place, max_age: int | None) -> str | None:
        """Why an answer that is kept is not given; one that no caller may be given any more is dropped."""
        if max_age is not None and entry.at + max_age < self._now():
            return "asked"
        outdated = "stale" if self.strict and entry.sequence != place.sequence else None
        if outdated is None and not await self.confirms(place, entry.made.findings):
            outdated = "changed"
        if outdated is not None:
            await self._store.drop(place.access.tenant, place.name)
        return outdated

    async def confirms(self, place: Place, findings: Findings | None) -> bool:
        """Whether the catalog would hand this caller every one of the passages, word for word."""
        if findings is None:
            return True
        passages = [found.passage for found in findings.passages]
        refs, recipe = [passage.ref for passage in passages], place.recipe
        try:
            read = await self._catalog.read(refs, place.access, recipe.parser, index=recipe.name, today=place.today)
        except IndexBehind:
            return False
        return list(map(_told, read)) == list(map(_told, passages))

    async def keep(self, place: Place, exchange: Exchange, draft: Draft) -> None:
        """Keep a whole answer, unless it is one that should not be given again.

        It is checked once more when it is there: who takes a document away lets go of its answers after that, and so
        either finds this one or is found out here.
        """
        refused = _refused(draft) if exchange.pins.model == place.model else "fallback"
        if refused is None and not await self.unchanged(place):
            refused = "changed"
        if refused is None:
            refused = await self._put(place, draft.made())
        self._metrics.cache_write(refused or "kept")

    async def _put(self, place: Place, made: Made) -> str | None:
        tenant, at, confirmed = place.access.tenant, self._now(), False
        value = encoded(Entry(place.name, place.sequence, at, made))
        kept = Kept(tenant, place.name, made.documents | {ANY}, at + self._seconds, value)
        try:
            await self._store.put(kept)
            confirmed = await self.confirms(place, made.findings)
        except CatalogError:
            return "unchecked"
        finally:
            if not confirmed:
                await self._store.drop(tenant, place.name)
        return None if confirmed else "changed"

    async def unchanged(self, place: Place, *sharing: AccessFilter) -> bool:
        """Whether nothing of the tenant's has changed meanwhile; by `ttl`, no list that tells these callers apart.

        Names are never taken from a scope: who has the same one as before had it throughout.
        """
        if self.strict:
            return (await self._catalog.standing(place.recipe.name, place.access.tenant)).value == place.sequence
        return all([await self._catalog.scope(one) == place.scope for one in (place.access, *sharing)])


def _told(passage: Passage) -> tuple[object, ...]:
    """All of a passage that an answer shows."""
    return passage.ref, passage.text, passage.title, passage.source, passage.category, passage.updated


def _refused(draft: Draft) -> str | None:
    """Why an answer is not one to be given again: the next one may be better."""
    verdict, findings = draft.verdict, draft.findings
    if verdict is None or verdict.finish != "stop":
        return "cut"
    if verdict.status == "review":
        return "review"
    if draft.rewritten.failure:
        return "rewriting"
    if findings is not None and (findings.degraded or findings.violations):
        return "degraded"
    return None
