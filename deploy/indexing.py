"""Index versions for operators: build, list, show, verify, compare, drop."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from deploy.evaluate_corpus import PATIENCE
from deploy.golden import GoldenQuestion
from deploy.pinboard import read_pinboard
from deploy.pins import Applied
from deploy.recipes import file_recipe, tried
from deploy.settings import Settings
from retrieval.acl import access_filter
from retrieval.building import build
from retrieval.catalog import Catalog
from retrieval.errors import IndexPinned, RecipeError, RetrievalError
from retrieval.index import IndexManifest, IndexRecipe, load_recipe
from retrieval.ingest.sandbox import ParserPool
from retrieval.live import Followed, LiveIndex, Progress, closing
from retrieval.opening import EMBEDDED, dormant, drop_index, open_live, place_of
from retrieval.preflight import Check, preflight
from retrieval.store import Narrowing

_DEPTH = 10


@dataclass(frozen=True, slots=True)
class Listed:
    """An index version that is known here: `pinned` says as what, `behind` for how many tenants it lacks changes."""

    name: str
    pinned: str | None
    place: str | None
    sealed: IndexManifest | None
    documents: int
    chunks: int
    behind: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One golden question under two versions: documents found, best first; `gained` and `lost` are expected ones."""

    question: str
    caller: str
    before: list[str]
    after: list[str]
    gained: list[str]
    lost: list[str]

    @property
    def changed(self) -> bool:
        """Whether anything is found otherwise."""
        return self.before != self.after


@dataclass(frozen=True, slots=True)
class Comparison:
    """What finding changes between two versions; recall is the share of expected documents among the first ten."""

    before: str
    after: str
    questions: int
    recall_before: float
    recall_after: float
    differences: list[Difference]


def find_recipe(settings: Settings, named: str) -> IndexRecipe:
    """A recipe by the name of its version, or by its file."""
    path = Path(named)
    return load_recipe(path if path.suffix == ".yaml" else versions_of(settings) / f"{named}.yaml")


async def build_index(
    settings: Settings, recipe: IndexRecipe, progress: Progress, *, store: str | None = None, new: bool = False
) -> tuple[IndexManifest, Followed]:
    """Build a version from the catalog, or go on with a build that was cut off; `store` is a server's URL.

    A `new` recipe is filed beside the others, unless its build is refused before there is anything of it.
    """
    place = place_of(settings)
    place = replace(place, server=store) if store else place
    async with Catalog.open(settings.catalog) as catalog, tried(recipe, place):
        filed = file_recipe(recipe, versions_of(settings)) if new else None
        try:
            with ParserPool() as parser:
                return await build(recipe, place, catalog, parser, progress)
        except RetrievalError:
            if filed is not None and not await catalog.held(recipe.name):
                filed.unlink(missing_ok=True)
            raise


async def list_indexes(settings: Settings) -> list[Listed]:
    """Every version that is sealed, pinned or described here."""
    pins = read_pinboard(settings.releases).pins.index
    roles = {name: role for role, name in msgspec.structs.asdict(pins).items() if name is not None}
    async with Catalog.open(settings.catalog) as catalog:
        names = {one.manifest.name for one in await catalog.seals()} | set(roles) | _described(settings)
        return [await _listed(catalog, name, roles.get(name)) for name in sorted(names)]


async def show_index(settings: Settings, name: str) -> tuple[Listed, IndexRecipe]:
    """One version and its recipe."""
    listed = next((one for one in await list_indexes(settings) if one.name == name), None)
    if listed is None:
        raise _unknown(name)
    return listed, listed.sealed.recipe if listed.sealed else find_recipe(settings, name)


async def verify_index(
    settings: Settings, name: str, golden: Sequence[GoldenQuestion] = (), *, stable: str | None = None
) -> list[Check]:
    """The pre-flight, and with golden questions that recall is not below the stable version's."""
    async with opened_index(settings, name) as index:
        checks = await preflight(index)
        if golden and stable is not None and stable != name:
            checks.append(_not_below(await diff_indexes(settings, stable, name, golden, opened=index)))
        return checks


async def diff_indexes(
    settings: Settings,
    before: str,
    after: str,
    golden: Sequence[GoldenQuestion],
    *,
    opened: LiveIndex | None = None,
) -> Comparison:
    """Ask every golden question under both versions; `opened` is one of them that is open already."""
    found: dict[str, list[list[str]]] = {}
    for name in (before, after):
        if opened is not None and opened.name == name:
            found[name] = [await _documents(opened, one) for one in golden]
        else:
            async with opened_index(settings, name) as index:
                found[name] = [await _documents(index, one) for one in golden]
    return compare(before, after, golden, found[before], found[after])


def compare(
    before: str,
    after: str,
    golden: Sequence[GoldenQuestion],
    found_before: Sequence[list[str]],
    found_after: Sequence[list[str]],
) -> Comparison:
    """What changed, question by question: documents found, best first."""
    rows = zip(golden, found_before, found_after, strict=True)
    differences = [_difference(asked, first, second) for asked, first, second in rows]
    changed = [one for one in differences if one.changed]
    return Comparison(before, after, len(golden), _recall(golden, found_before), _recall(golden, found_after), changed)


async def drop(settings: Settings, name: str) -> None:
    """Remove a version that no pin names; IndexPinned for one that is, RecipeError for what is no version here."""
    pins = read_pinboard(settings.releases).pins.index
    if name in pins.named:
        raise IndexPinned(f"index {name!r} is pinned in {settings.releases.name}: take it out there first")
    place = place_of(settings)
    async with Catalog.open(settings.catalog) as catalog:
        begun = {found: where for found, where, _ in await dormant(place, catalog, ())}
        if name not in begun.keys() | _described(settings):
            raise _unknown(name)
        if begun.get(name, place.name) != EMBEDDED and name in _last_in_force(settings):
            raise IndexPinned(
                f"index {name!r} was in force when the gateway last changed its pins, and a server drops what is in "
                f"use: let the gateway apply a {settings.releases.name} without it first"
            )
        await drop_index(name, place, catalog)


def versions_of(settings: Settings) -> Path:
    """Where versions are described."""
    return settings.releases.parent / "versions"


@asynccontextmanager
async def opened_index(settings: Settings, name: str) -> AsyncIterator[LiveIndex]:
    """A built version, brought up to date."""
    async with AsyncExitStack() as stack:
        catalog = await stack.enter_async_context(Catalog.open(settings.catalog))
        parser = stack.enter_context(ParserPool())
        sealed = await catalog.manifest(name)
        recipe = sealed.recipe if sealed else find_recipe(settings, name)
        index = await open_live(recipe, place_of(settings), catalog, parser=parser)
        await stack.enter_async_context(closing(index))
        await index.follow()
        yield index


def _last_in_force(settings: Settings) -> tuple[str, ...]:
    """What the gateway here answers from, which a file of pins that it refused does not change."""
    if not settings.last_release.exists():
        return ()
    try:
        return msgspec.json.decode(settings.last_release.read_bytes(), type=Applied).pins.index.named
    except msgspec.DecodeError as error:
        told = f"what is in force is not known, as {settings.last_release.name!r} is damaged: start the gateway first"
        raise IndexPinned(told) from error


def _described(settings: Settings) -> set[str]:
    """The versions that have a file here, built or not."""
    return {path.stem for path in versions_of(settings).glob("idx-*.yaml")}


def _unknown(name: str) -> RecipeError:
    return RecipeError(f"index version {name!r} is not known: `twinpin index list` shows what is")


async def _listed(catalog: Catalog, name: str, role: str | None) -> Listed:
    sealed = next((one for one in await catalog.seals() if one.manifest.name == name), None)
    marks, held = await catalog.marks(name), (await catalog.held(name)).values()
    behind = sum(marks.get(tenant, 0) < head.value for tenant, head in (await catalog.sequences()).items())
    return Listed(
        name,
        role,
        sealed.place if sealed else None,
        sealed.manifest if sealed else None,
        len(held),
        sum(one.chunks for one in held),
        behind,
    )


async def _documents(index: LiveIndex, golden: GoldenQuestion) -> list[str]:
    access = access_filter(golden.principal)
    findings = await index.finder().find(golden.question, access, Narrowing(), limit=_DEPTH, rerank_within=PATIENCE)
    return list(dict.fromkeys(found.passage.ref.document for found in findings.passages))


def _difference(asked: GoldenQuestion, before: list[str], after: list[str]) -> Difference:
    expected = set(asked.documents)
    gained = sorted(expected & set(after) - set(before))
    lost = sorted(expected & set(before) - set(after))
    return Difference(asked.question, asked.caller, before, after, gained, lost)


def _recall(golden: Sequence[GoldenQuestion], found: Sequence[Sequence[str]]) -> float:
    shares = [
        len(set(asked.documents) & set(documents)) / len(set(asked.documents))
        for asked, documents in zip(golden, found, strict=True)
        if asked.documents
    ]
    return sum(shares) / len(shares) if shares else 0.0


def _not_below(comparison: Comparison) -> Check:
    told = f"{comparison.recall_after:.3f} on {comparison.questions} questions, stable {comparison.recall_before:.3f}"
    return Check("recall not below stable", comparison.recall_after >= comparison.recall_before, told)
