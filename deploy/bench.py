"""What finding and the gateway cost: `make bench`, each figure from one run on one machine."""

import sys
from collections.abc import Mapping
from typing import Any

from deploy.bench_gateway import measure_gateway
from deploy.bench_search import measure_search
from deploy.results import write_result
from deploy.settings import Settings


def run_benchmarks(settings: Settings) -> int:
    """Measure, print and record."""
    figures: dict[str, Mapping[str, Any]] = {**measure_search(), **measure_gateway(settings)}
    path = write_result("bench", "make bench", figures)
    for section, rows in figures.items():
        sys.stdout.write(f"\n{section}\n")
        for name, value in rows.items():
            sys.stdout.write(f"  {name:55} {value:.3f}\n" if isinstance(value, float) else f"  {name:55} {value}\n")
    sys.stdout.write(f"recorded in {path}\n")
    return 0
