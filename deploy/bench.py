"""What finding and the gateway cost: `make bench`, each figure from one run on one machine."""

import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, get_args

from deploy.bench_access import measure_access
from deploy.bench_cache import measure_cache
from deploy.bench_embed import measure_embedding
from deploy.bench_gateway import measure_gateway
from deploy.bench_grounding import measure_grounding
from deploy.bench_ingest import measure_ingestion
from deploy.bench_part import Part
from deploy.bench_prefix import measure_prefixes
from deploy.bench_search import measure_search
from deploy.results import add_figures, write_result
from deploy.settings import Settings

Figures: TypeAlias = Mapping[str, Mapping[str, Any]]
_MEASURES: Mapping[Part, Callable[[Settings], Figures]] = {
    "search": measure_search,
    "access": lambda _: measure_access(),
    "embedding": measure_embedding,
    "ingestion": measure_ingestion,
    "grounding": lambda _: measure_grounding(),
    "gateway": measure_gateway,
    "cache": measure_cache,
    "prefix": measure_prefixes,
}


def run_benchmarks(settings: Settings, only: Part | None = None) -> int:
    """Measure, print and record; what is measured stays recorded when a later part fails.

    One part by itself is recorded beside what was measured of the others before.
    """
    figures: dict[str, Mapping[str, Any]] = {}
    for part in get_args(Part) if only is None else (only,):
        measured = _MEASURES[part](settings)
        figures |= measured
        record = write_result if only is None else add_figures
        path = record("bench", "make bench", figures)
        for section, rows in measured.items():
            sys.stdout.write(f"\n{section}\n")
            sys.stdout.writelines(f"  {name:65} {_told(value)}\n" for name, value in rows.items())
        sys.stdout.write(f"recorded in {path}\n")
    return 0


def _told(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3f}"
