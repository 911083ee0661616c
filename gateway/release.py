"""Which index and which model answer: resolved once per request into a value that travels with it.

The value holds the very versions it names, so that a flip never changes what a request that is under way uses.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from deploy.pins import Pin, Pins
from gateway.errors import NotFound
from retrieval.calibration import Calibration
from retrieval.index import IndexRecipe
from retrieval.search import Finder
from serving.generator import Generator
from serving.manifest import ModelManifest

Axis = Literal["index", "model"]
Reason = Literal["DEFAULT", "TARGETING_MATCH", "ERROR"]
Version = TypeVar("Version")


@dataclass(frozen=True, slots=True)
class IndexVersion:
    """A sealed index version, open for finding; a calibration says which confidence is enough."""

    recipe: IndexRecipe
    finder: Finder
    calibration: Calibration | None = None


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A model version with the engine that serves it and its own tokenizer's count."""

    manifest: ModelManifest
    generator: Generator
    count_tokens: Callable[[str], int]

    async def check(self) -> None:
        """Raise GenerationError unless the engine serves this version and answers."""
        await self.generator.check(self.manifest.served_name)

    @property
    def out(self) -> bool:
        """Whether nothing that serves this version can be asked now."""
        return self.generator.out(self.manifest.served_name)


@dataclass(frozen=True, slots=True)
class Forced:
    """The versions that a caller with the right to do so asks for by name, instead of the pinned ones."""

    index: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class ResolvedPins:
    """The two versions of one request, the generation of the pins they came from, and the reason of each draw.

    `fallback` may answer where no engine serves the model; once it does, `fallback_for` names the one that it replaces.
    """

    index_version: IndexVersion
    model_version: ModelVersion
    generation: int
    assignment: Mapping[Axis, Reason]
    fallback: ModelVersion | None = None
    fallback_for: str | None = None

    @property
    def index(self) -> str:
        """The index version's name."""
        return self.index_version.recipe.name

    @property
    def model(self) -> str:
        """The model version's name."""
        return self.model_version.manifest.name

    def fallen_back(self) -> "ResolvedPins":
        """The same, with the fallback in place of a model that no engine serves now if one serves the fallback."""
        if self.fallback is None or self.fallback.out or not self.model_version.out:
            return self
        assignment: Mapping[Axis, Reason] = {**self.assignment, "model": "ERROR"}
        return replace(self, model_version=self.fallback, assignment=assignment, fallback=None, fallback_for=self.model)

    def headers(self) -> dict[str, str]:
        """Every answer says how it was made."""
        named = {"x-twinpin-index": self.index, "x-twinpin-model": self.model}
        if self.fallback_for is not None:
            named["x-twinpin-fallback-for"] = self.fallback_for
        return {**named, "x-twinpin-generation": str(self.generation)}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Pins in force, and every version they name, open. Replaced as a whole, never changed."""

    pins: Pins
    generation: int
    indexes: Mapping[str, IndexVersion]
    models: Mapping[str, ModelVersion]

    def resolve(self, forced: Forced = Forced()) -> ResolvedPins:
        """Draw both versions, each from its own pin; NotFound when a forced one is not among those named."""
        index, index_reason = _draw("index", self.pins.index, self.indexes, forced.index)
        model, model_reason = _draw("model", self.pins.model, self.models, forced.model)
        named = self.pins.model.fallback if model_reason == "DEFAULT" else None
        assignment: Mapping[Axis, Reason] = {"index": index_reason, "model": model_reason}
        fallback = None if named is None else self.models[named]
        return ResolvedPins(index, model, self.generation, assignment, fallback).fallen_back()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why `releases.yaml` as it stands is not in force.

    `told` names versions and what to do, and nothing of any document; `detail` is the failure's own text, for operators
    of the whole house. `axis` and `version` are set where one version is to blame.
    """

    told: str
    detail: str
    axis: Axis | None = None
    version: str | None = None


@dataclass(slots=True)
class Release:
    """The one reference that a flip replaces, and why a later `releases.yaml` did not replace it, if one did not."""

    current: Snapshot
    refusal: Refusal | None = None
    coming: Mapping[str, Axis] = field(default_factory=dict)
    """Versions that are being opened and brought up to date now."""

    def resolve(self, forced: Forced = Forced()) -> ResolvedPins:
        """The versions of one request."""
        return self.current.resolve(forced)


def _draw(axis: Axis, pin: Pin, versions: Mapping[str, Version], forced: str | None) -> tuple[Version, Reason]:
    if forced is None:
        return versions[pin.stable], "DEFAULT"
    if forced not in versions:
        told = f"there is no open {axis} version of that name: `GET /v1/release` lists those there are"
        raise NotFound(told, code="version_not_found", param=f"x-twinpin-{axis}")
    return versions[forced], "TARGETING_MATCH"
