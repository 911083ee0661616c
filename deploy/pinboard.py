"""Reads `releases.yaml` into a snapshot: whole and valid, or refused with the reason."""

import re
from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml

from deploy.pins import Pins

_NAMES = {"index": re.compile(r"idx-[a-z0-9.-]+-[0-9a-f]{8}"), "model": re.compile(r"mdl-[a-z0-9.-]+-[0-9a-f]{8}")}


class ReleaseConfigError(Exception):
    """`releases.yaml` is missing or not valid; its text says which field and why."""


@dataclass(frozen=True, slots=True)
class Pinboard:
    """The pins in force and where each pinned version is described."""

    pins: Pins
    versions: Path

    def index_recipe(self) -> Path:
        """The pinned index version's recipe file."""
        return self.versions / f"{self.pins.index.stable}.yaml"

    def model_manifest(self) -> Path:
        """The pinned model version's manifest file."""
        return self.versions / f"{self.pins.model.stable}.yaml"


def read_pinboard(releases: Path) -> Pinboard:
    """Read the pins; versions are described in the folder `versions` beside the file."""
    try:
        pins = msgspec.convert(yaml.safe_load(releases.read_text("utf-8")), Pins)
    except FileNotFoundError as error:
        raise ReleaseConfigError(f"there is no {releases.name!r}: it must pin an index and a model version") from error
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ReleaseConfigError(f"{releases.name!r} is not valid: {error}") from error
    board = Pinboard(pins, releases.parent / "versions")
    for axis, name, file in (
        ("index", pins.index.stable, board.index_recipe()),
        ("model", pins.model.stable, board.model_manifest()),
    ):
        _require(axis, name, file)
    return board


def _require(axis: str, name: str, file: Path) -> None:
    if not _NAMES[axis].fullmatch(name):
        raise ReleaseConfigError(f"{axis}.stable is {name!r}, which is no name of {axis} versions")
    if not file.is_file():
        raise ReleaseConfigError(f"{axis}.stable is {name!r}, which is not described in {file.parent.name}/{file.name}")
