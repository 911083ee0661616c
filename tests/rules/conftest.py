"""The product's own source, read once."""

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "retrieval", "serving", "deploy", "loadtests")


@dataclass(frozen=True)
class Module:
    """One source file: `path` is relative to the repository, `name` is what it is imported as."""

    path: str
    name: str
    tree: ast.Module


def _module(path: Path) -> Module:
    relative = path.relative_to(ROOT)
    name = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
    return Module(relative.as_posix(), name, ast.parse(path.read_text("utf-8")))


@pytest.fixture(scope="session")
def modules() -> list[Module]:
    """Every module of the packages."""
    return [_module(path) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT
