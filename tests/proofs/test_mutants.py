"""Each check is taken away for real, and the suite notices: none stands there that nothing would miss."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.proofs.mutants import MUTANTS, Mutant
from tests.proofs.mutation import tried

SHARES = 2


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    """Each mutant lives in a process of its own, which a server forks that has imported nothing of the product."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.proofs.outside"])
    with ProcessPoolExecutor(SHARES, context, max_tasks_per_child=1) as pool:
        yield pool


def test_every_mutant_is_caught(processes: ProcessPoolExecutor) -> None:
    survived, broken = [], []
    for mutant, (failed, others) in zip(MUTANTS, processes.map(tried, MUTANTS), strict=True):
        survived += [] if failed or others else [mutant.name]
        broken += [f"{mutant.name}: {one}" for one in others]
    assert survived == []
    assert broken == [], "\n\n".join(broken)


def test_there_are_enough_and_each_is_told(request: pytest.FixtureRequest) -> None:
    told = (request.config.rootpath / "docs" / "proofs.md").read_text("utf-8")
    assert len(MUTANTS) >= 20
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert [row for mutant in MUTANTS if (row := told_row(mutant)) not in told] == []


def told_row(mutant: Mutant) -> str:
    """A line of the table."""
    return f"| {mutant.name} | `{mutant.module}` | `{mutant.caught_by.rpartition('::')[2]}` |"
