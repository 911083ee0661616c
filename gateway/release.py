"""Which index and which model answer: resolved once per request into a value that travels with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from deploy.pins import Pins
from retrieval.index import IndexRecipe
from retrieval.search import Finder
from serving.generator import Generator
from serving.manifest import ModelManifest

Reason = Literal["DEFAULT"]


@dataclass(frozen=True, slots=True)
class IndexVersion:
    """A sealed index version, open for finding."""

    recipe: IndexRecipe
    finder: Finder


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A model version with the engine that serves it and its own tokenizer's count."""

    manifest: ModelManifest
    generator: Generator
    count_tokens: Callable[[str], int]


@dataclass(frozen=True, slots=True)
class ResolvedPins:
    """The two versions of one request, the generation of the pins they came from, and the reason of each draw."""

    index: str
    model: str
    generation: int
    assignment: Mapping[str, Reason]

    def headers(self) -> dict[str, str]:
        """Every answer says how it was made."""
        return {
            "x-twinpin-index": self.index,
            "x-twinpin-model": self.model,
            "x-twinpin-generation": str(self.generation),
        }


class Release:
    """The versions that are open here and the pins that choose among them."""

    def __init__(
        self, pins: Pins, indexes: Mapping[str, IndexVersion], models: Mapping[str, ModelVersion], generation: int = 1
    ) -> None:
        self._pins = pins
        self._indexes = indexes
        self._models = models
        self._generation = generation

    def resolve(self) -> ResolvedPins:
        """Draw both versions, each from its own pin."""
        pins = self._pins
        return ResolvedPins(
            pins.index.stable, pins.model.stable, self._generation, {"index": "DEFAULT", "model": "DEFAULT"}
        )

    def index(self, pins: ResolvedPins) -> IndexVersion:
        """The index version that a request resolved to."""
        return self._indexes[pins.index]

    def model(self, pins: ResolvedPins) -> ModelVersion:
        """The model version that a request resolved to."""
        return self._models[pins.model]
