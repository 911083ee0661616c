"""The trace that prefixes are measured on, and the two versions that answer it."""

import itertools
from collections import Counter
from pathlib import Path

import pytest
import yaml

from deploy.bench_prefix import _HITS, _settings
from deploy.bench_trace import DOCUMENTS, SECTIONS, asked, library, write_library
from deploy.pinboard import read_pinboard
from deploy.settings import Settings
from tests.deploy.commandline import ROOT

METRICS = b"""# TYPE vllm:prefix_cache_hits_total counter
vllm:prefix_cache_hits_total{engine="0",model_name="m"} 1.6e+03
vllm:prefix_cache_queries_total{engine="0",model_name="m"} 9000.0
vllm:external_prefix_cache_hits_total{engine="0",model_name="m"} 7.0
"""


def test_the_trace_is_the_same_in_every_run_and_repeats_documents_by_zipfs_law() -> None:
    documents = library()
    assert (len(documents), {len(one.sections) for one in documents}) == (DOCUMENTS, {SECTIONS})
    assert documents == library()
    trace = list(itertools.islice(asked(documents, 1.0), 5_000))
    assert trace == list(itertools.islice(asked(documents, 1.0), 5_000))
    about = Counter(next(one.title for one in documents if f" {one.title} say" in question) for question in trace)
    times = [about[one.title] for one in documents]
    assert times[0] / times[1] == pytest.approx(2, rel=0.25)
    assert times[0] / sum(times[9:11]) * 2 == pytest.approx(10.5, rel=0.25)
    assert sum(map(bool, times)) > DOCUMENTS / 2
    assert len(set(trace)) > 4_900, "hardly a question is asked twice"


def test_documents_are_written_with_who_reads_them(tmp_path: Path) -> None:
    write_library(tmp_path / "documents", library()[:2], ["reader-0"])
    written = {path.name: path.read_text("utf-8") for path in (tmp_path / "documents").iterdir()}
    assert sorted(written) == ["handbook-000.md", "handbook-001.md", "reader-0.md", "twinpin.yaml"]
    last = yaml.safe_load(written["twinpin.yaml"])["rules"][-1]
    assert (last["match"], last["allow"]) == ("reader-0.md", ["user:reader-0"])
    assert written["handbook-000.md"].count("\n## ") == SECTIONS


def test_the_two_versions_differ_in_the_order_alone(tmp_path: Path) -> None:
    own = _settings(Settings(data=tmp_path / "data", releases=ROOT / "deploy" / "releases.yaml"), tmp_path)
    board = read_pinboard(own.releases)
    shared, found = (board.manifests[str(name)] for name in (board.pins.model.stable, board.pins.model.previous))
    assert (shared.passage_order, found.passage_order) == ("shared_prefix", "best_first")
    assert (shared.prompt, shared.base, shared.sampling) == (found.prompt, found.base, found.sampling)
    assert board.recipes[board.pins.index.stable].passages == SECTIONS


def test_hits_are_read_from_the_engines_own_counter() -> None:
    assert [float(told) for told in _HITS.findall(METRICS)] == [1_600.0]
