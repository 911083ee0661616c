"""A process in which one module of the product is another one than on disk, and tests run against it.

Imports nothing of the product: what is imported from here on is what the rewritten module is part of.
"""

import importlib.util
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from io import StringIO
from pathlib import Path
from types import CodeType, ModuleType

import pytest

from tests.proofs.mutants import Mutant

ROOT = Path(__file__).parent.parent.parent


class Rewritten(SourceFileLoader):
    """Loads a module from its source with one piece replaced."""

    mutant: Mutant

    def get_code(self, fullname: str) -> CodeType:
        """Compiled anew: what is cached is the module as it is on disk."""
        source = self.get_data(self.path).decode()
        found = source.count(self.mutant.was)
        if found != 1:
            raise LookupError(f"{fullname} has {self.mutant.was!r} {found} times: adapt the mutant to the code")
        changed = source.replace(self.mutant.was, self.mutant.becomes)
        return compile(changed, self.path, "exec", dont_inherit=True)


class Rewriter(MetaPathFinder):
    """Finds the one module to rewrite, before anybody else does."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Only that one."""
        if name != self.mutant.module:
            return None
        found = PathFinder.find_spec(name, path)
        assert found is not None
        assert found.origin is not None
        loader = Rewritten(name, found.origin)
        loader.mutant = self.mutant
        return importlib.util.spec_from_file_location(name, found.origin, loader=loader)


class Heard:
    """What became of the tests."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed: list[str] = []
        self.broken: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A failure inside of a test is a catch; one around it is not."""
        self.passed += report.when == "call" and report.passed
        if report.failed:
            (self.failed if report.when == "call" else self.broken).append(f"{report.nodeid}: {report.longreprtext}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Nor is a module that cannot be imported."""
        if report.failed:
            self.broken.append(report.longreprtext)


def tried(mutant: Mutant) -> tuple[list[str], list[str]]:
    """Run the tests that are to catch a mutant, in a process that has imported nothing yet: failed, and broken."""
    assert not {name.partition(".")[0] for name in sys.modules} & {"retrieval", "gateway", "deploy", "serving"}
    os.chdir(ROOT)
    sys.meta_path.insert(0, Rewriter(mutant))
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # looking for plugins takes longer than most of these tests
    heard, said = Heard(), StringIO()
    without = ("cacheprovider", "unraisableexception", "threadexception")
    options = ["-x", "--tb=short", "--assert=plain", "-p", "pytest_asyncio.plugin", "-p", "pytest_socket"]
    options += [part for name in without for part in ("-p", f"no:{name}")]
    code: int = pytest.ExitCode.OK
    with redirect_stdout(said), redirect_stderr(said):
        for _ in range(mutant.tries):
            code = pytest.main([*options, mutant.caught_by], plugins=[heard])
            if code != pytest.ExitCode.OK:
                break
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        heard.broken.append(said.getvalue())
    if mutant.module not in sys.modules:
        heard.broken.append(f"{mutant.module} was never imported")
    return heard.failed, heard.broken
