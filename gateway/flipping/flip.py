"""The flip: opens what a board names, brings it up to date, and replaces the one reference that requests resolve from.

Whatever fails before that changes nothing: the versions in force stay, and those opened in vain are closed again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from deploy.pinboard import Pinboard, ReleaseConfigError
from deploy.pins import Applied, Pins
from gateway.flipping.lastgood import LastGood
from gateway.flipping.versions import IndexVersions
from gateway.release import Axis, IndexVersion, ModelVersion, Refusal, Release, Snapshot
from retrieval.errors import (
    CatalogError,
    IndexNotSealed,
    PreflightFailed,
    RecipeError,
    RetrievalError,
    StoreLocked,
)
from retrieval.index import IndexRecipe
from retrieval.live import LiveIndex
from retrieval.preflight import require_fit
from serving.errors import EngineRefused, ManifestError, ServingError, WrongModel
from serving.manifest import ModelManifest

_log = structlog.get_logger()
OpenModel: TypeAlias = Callable[[ModelManifest], ModelVersion]


class VersionRefused(Exception):
    """One version that a board names cannot be served, so that the board is refused whole."""

    def __init__(self, axis: Axis, version: str, error: Exception) -> None:
        super().__init__(f"{axis} version {version!r} cannot be served: {error}")
        self.refusal = Refusal(_told(axis, version, error), str(self), axis, version)


@dataclass(frozen=True, slots=True)
class Flip:
    """`quiet` keeps documents from being committed while versions change hands."""

    indexes: IndexVersions
    open_index: Callable[[IndexRecipe], Awaitable[LiveIndex]]
    open_model: OpenModel
    last_good: LastGood
    quiet: Callable[[], AbstractAsyncContextManager[None]]

    async def start(self, board: Pinboard) -> Release:
        """Open all that the board names. The engine is not asked: it may still be starting."""
        last = self.last_good.read()
        generation = 1 if last is None else last.generation + (last.pins != board.pins)
        async with AsyncExitStack() as stack:
            indexes = await self._open_indexes(board, stack)
            known = last.pins.index.named if last is not None else ()
            await self._require_fit([index for name, index in indexes.items() if name not in known])
            models = {name: await self._model(manifest) for name, manifest in board.manifests.items()}
            release = Release(Snapshot(board.pins, generation, await _versions(indexes, {}), models))
            self.last_good.write(Applied(generation, board.pins))
            self.indexes.keep(indexes, board.pins.index)
            stack.pop_all()
        return release

    async def apply(self, board: Pinboard, release: Release) -> bool:
        """Put the board in force, and say whether that changed anything; ReleaseConfigError or VersionRefused."""
        if board.pins == release.current.pins:
            return False
        async with self.indexes.changing:
            release.coming = _coming(board, release.current)
            try:
                await self._change(board, release)
            finally:
                release.coming = {}
        return True

    async def _change(self, board: Pinboard, release: Release) -> None:
        before = release.current
        async with AsyncExitStack() as stack:
            models = await self._open_models(board, before)
            indexes = await self._open_indexes(board, stack)
            found = await _versions(indexes, before.indexes)
            after = Snapshot(board.pins, before.generation + 1, found, models)
            async with self.quiet():
                await self._follow(indexes, _to_follow(board.pins, before.pins))
                await self._require_fit([index for name, index in indexes.items() if name not in before.indexes])
                # In this thread: a flip that is given up here would else be written and not in force.
                self.last_good.write(Applied(after.generation, board.pins))
                self.indexes.keep(indexes, board.pins.index)
                release.current = after
                stack.pop_all()

    async def _open_indexes(self, board: Pinboard, stack: AsyncExitStack) -> dict[str, LiveIndex]:
        """Every version named: as it is where it is open already, else opened and brought up to date."""
        named = {}
        for name, recipe in board.recipes.items():
            index = self.indexes.get(name)
            if index is None:
                with blaming("index", name):
                    index = await self.open_index(recipe)
                    stack.push_async_callback(index.close)
                    await index.follow()
                    await index.require_whole()
                _log.info("index_open", index=name)
            named[name] = index
        return named

    async def _open_models(self, board: Pinboard, before: Snapshot) -> dict[str, ModelVersion]:
        """Every version named; the engine has to serve those that are new, and the one that becomes stable."""
        models = {}
        for name, manifest in board.manifests.items():
            models[name] = before.models.get(name) or await self._model(manifest)
            if name not in before.models or name == board.pins.model.stable != before.pins.model.stable:
                with blaming("model", name):
                    await models[name].check()
        return models

    async def _model(self, manifest: ModelManifest) -> ModelVersion:
        with blaming("model", manifest.name):
            return await asyncio.to_thread(self.open_model, manifest)

    async def _follow(self, indexes: Mapping[str, LiveIndex], names: frozenset[str]) -> None:
        """What changed since they were opened; nothing more can change meanwhile."""
        for name in names:
            with blaming("index", name):
                await indexes[name].follow()

    async def _require_fit(self, opened: Sequence[LiveIndex]) -> None:
        """The pre-flight, before any user, for all that was not in force here before."""
        for index in opened:
            with blaming("index", index.name):
                await require_fit(index)


@contextmanager
def blaming(axis: Axis, version: str) -> Iterator[None]:
    """Say which version it was that failed."""
    try:
        yield
    except (RetrievalError, ServingError, TimeoutError) as error:
        raise VersionRefused(axis, version, error) from error


def refusal_of(error: Exception) -> Refusal:
    """What is told of a board that was refused, or that failed as nothing here is known to fail."""
    match error:
        case VersionRefused():
            return error.refusal
        case ReleaseConfigError():
            return Refusal(str(error), str(error))
        case _:
            told = "what the file names failed in a way that is not known here: the log says more"
            return Refusal(told, f"{type(error).__name__}: {error}")


async def _versions(indexes: Mapping[str, LiveIndex], before: Mapping[str, IndexVersion]) -> dict[str, IndexVersion]:
    """Those that were in force stay as they are: a flip of another version changes nothing of them."""
    return {name: before.get(name) or await _version(index) for name, index in indexes.items()}


async def _version(index: LiveIndex) -> IndexVersion:
    with blaming("index", index.name):
        sealed = await index.catalog.manifest(index.name)
        finder = index.finder()
    calibration = sealed.calibration if sealed else None
    if calibration is None:
        _log.warning("index_not_calibrated", index=index.name, threshold=index.recipe.abstain_below)
    return IndexVersion(index.recipe, finder, calibration)


def _coming(board: Pinboard, before: Snapshot) -> Mapping[str, Axis]:
    indexes: dict[str, Axis] = {name: "index" for name in board.recipes if name not in before.indexes}
    models: dict[str, Axis] = {name: "model" for name in board.manifests if name not in before.models}
    return indexes | models


def _to_follow(pins: Pins, before: Pins) -> frozenset[str]:
    """Versions that were not kept up to date so far, and the one that is to take traffic.

    The others are left alone, so that one that is out of order cannot keep another from being rolled back to.
    """
    new = set(pins.index.named) - set(before.index.named)
    return frozenset(new | ({pins.index.stable} - {before.index.stable}))


def _told(axis: Axis, version: str, error: Exception) -> str:
    """Nothing of any document or tenant: who may read pins may not read those."""
    which = f"{axis} version {version!r}"
    match error:
        case IndexNotSealed():
            return f"{which} is not built: run `twinpin index build {version}`"
        case StoreLocked():
            return f"{which} is open in another process: end that one first"
        case RecipeError():
            return f"{which} does not fit this release, or was built by another recipe: the log says more"
        case PreflightFailed():
            return f"{which} failed its pre-flight: `twinpin index verify {version}` says which check"
        case CatalogError():
            return f"{which} cannot be checked, because the document catalog does not answer"
        case ManifestError():
            return f"{which} cannot be used: {error}"
        case EngineRefused() | WrongModel():
            return f"{which} is not served by the engine: start one with `twinpin serve-model`"
        case ServingError():
            return f"{which} cannot be checked, because the engine does not answer"
        case _:
            return f"{which} cannot be opened or brought up to date: the log says more"
