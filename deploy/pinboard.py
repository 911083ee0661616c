"""Reads `releases.yaml` into a snapshot: whole and valid, or refused with the reason."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import yaml

from deploy.pins import Pin, Pins
from retrieval.errors import RecipeError
from retrieval.index import IndexRecipe, load_recipe
from serving.errors import ManifestError
from serving.manifest import ModelManifest, load_manifest

_INDEX = re.compile(r"idx-[a-z0-9.-]+-[0-9a-f]{8}")
_MODEL = re.compile(r"mdl-[a-z0-9.-]+-[0-9a-f]{8}")
Described = TypeVar("Described")


class ReleaseConfigError(Exception):
    """`releases.yaml`, or the description of a version it names, is not there or not valid; the text says which."""


@dataclass(frozen=True, slots=True)
class Pinboard:
    """Valid pins, and each version they name as its file in the folder `versions` describes it."""

    pins: Pins
    versions: Path
    recipes: Mapping[str, IndexRecipe]
    manifests: Mapping[str, ModelManifest]

    def index_recipe(self) -> Path:
        """The stable index version's recipe file."""
        return self.versions / f"{self.pins.index.stable}.yaml"

    def model_manifest(self) -> Path:
        """The stable model version's manifest file."""
        return self.versions / f"{self.pins.model.stable}.yaml"


def read_pinboard(releases: Path) -> Pinboard:
    """Read the pins; versions are described in the folder `versions` beside the file."""
    return parse_pinboard(read_releases(releases), releases)


def read_releases(releases: Path) -> bytes:
    """The file's content, whatever it is worth."""
    try:
        return releases.read_bytes()
    except FileNotFoundError as error:
        raise ReleaseConfigError(f"there is no {releases.name!r}: it must pin an index and a model version") from error
    except OSError as error:
        raise ReleaseConfigError(f"{releases.name!r} cannot be read: {error.strerror}") from error


def parse_pinboard(raw: bytes, releases: Path) -> Pinboard:
    """The board that the content of `releases` describes."""
    try:
        pins = msgspec.convert(yaml.safe_load(raw.decode()), Pins)
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ReleaseConfigError(f"{releases.name!r} is not valid: {error}") from error
    return describe_pins(pins, releases.parent / "versions")


def describe_pins(pins: Pins, versions: Path) -> Pinboard:
    """Read the description of every version that is named; refused unless all are valid and named by their digests."""
    if pins.index.fallback is not None:
        raise ReleaseConfigError("index.fallback is named, and only a model has one: a lost index is never replaced")
    recipes = _described("index", pins.index, _INDEX, versions, load_recipe)
    manifests = _described("model", pins.model, _MODEL, versions, load_manifest)
    return Pinboard(pins, versions, recipes, manifests)


def _described(
    axis: str, pin: Pin, names: re.Pattern[str], versions: Path, load: Callable[[Path], Described]
) -> dict[str, Described]:
    described = {}
    for field, name in msgspec.structs.asdict(pin).items():
        if name is not None:
            described[name] = _load(f"{axis}.{field}", name, names, versions, load)
    return described


def _load(
    field: str, name: str, names: re.Pattern[str], versions: Path, load: Callable[[Path], Described]
) -> Described:
    axis, file = field.partition(".")[0], versions / f"{name}.yaml"
    if not names.fullmatch(name):
        raise ReleaseConfigError(f"{field} is {name!r}, which is no name of {axis} versions")
    if not file.is_file():
        raise ReleaseConfigError(f"{field} is {name!r}, which is not described in {versions.name}/{file.name}")
    try:
        return load(file)
    except (RecipeError, ManifestError) as error:
        raise ReleaseConfigError(f"{field} is {name!r}: {error}") from error
