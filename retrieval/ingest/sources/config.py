"""Opens a source: a folder, or what a YAML file describes."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec
import yaml

from retrieval.errors import SourceError
from retrieval.ingest.sources.api import ApiConfig, ApiSource
from retrieval.ingest.sources.document import Source
from retrieval.ingest.sources.folder import FolderSource
from retrieval.ingest.sources.git import GitConfig, GitSource
from retrieval.ingest.sources.query import SqlConfig, SqlSource
from retrieval.ingest.sources.secrets import Secrets


class FolderConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="folder", tag_field="kind"):
    """`path` is relative to the file that names it."""

    path: str


Config: TypeAlias = FolderConfig | GitConfig | SqlConfig | ApiConfig


def load_source(path: Path, secrets: Mapping[str, str]) -> Source:
    """A folder as it stands, or a YAML file by its `kind`; `secrets` are what `${NAME}` in it may mean. SourceError."""
    if path.is_dir():
        return FolderSource(path)
    config, known = _read(path), Secrets(secrets)
    match config:
        case FolderConfig():
            return FolderSource(path.parent / config.path)
        case GitConfig():
            return GitSource(path.parent / config.path, config.ref, config.folder)
        case SqlConfig():
            return SqlSource(config, path.name, known)
        case ApiConfig():
            return ApiSource(config, path.name, known)


def _read(path: Path) -> Config:
    try:
        config: Config = msgspec.convert(yaml.safe_load(path.read_bytes()), Config)
    except FileNotFoundError as error:
        raise SourceError(f"there is no folder or file {path.name!r}") from error
    except OSError as error:
        raise SourceError(f"{path.name!r} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise SourceError(f"{path.name!r} is no description of a source: {error}") from error
    return config
