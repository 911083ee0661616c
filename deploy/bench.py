"""What finding and the gateway cost: `make bench`, each figure from one run on one machine."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deploy.bench_access import measure_access
from deploy.bench_embed import measure_embedding
from deploy.bench_gateway import measure_gateway
from deploy.bench_grounding import measure_grounding
from deploy.bench_ingest import measure_ingestion
from deploy.bench_search import measure_search
from deploy.results import write_result
from deploy.settings import Settings


def run_benchmarks(settings: Settings) -> int:
    """Measure, print and record; what is measured stays recorded when a later part fails."""
    figures: dict[str, Mapping[str, Any]] = {}
    measures: Sequence[Callable[[], Mapping[str, Mapping[str, Any]]]] = (
        lambda: measure_search(settings),
        measure_access,
        lambda: measure_embedding(settings),
        lambda: measure_ingestion(settings),
        measure_grounding,
        lambda: measure_gateway(settings),
    )
    for measure in measures:
        measured: Mapping[str, Mapping[str, Any]] = measure()
        figures |= measured
        path = write_result("bench", "make bench", figures)
        for section, rows in measured.items():
            sys.stdout.write(f"\n{section}\n")
            sys.stdout.writelines(f"  {name:65} {value:.3f}\n" for name, value in rows.items())
        sys.stdout.write(f"recorded in {path}\n")
    return 0
