"""`twinpin run`, `serve-model`, `bench`: the whole stack on one machine, and what it can do."""

import time
from typing import Annotated

import typer

from deploy.bench_part import Part
from deploy.settings import Settings


def run(
    began: Annotated[float | None, typer.Option(help="When the whole start began, in seconds since the epoch.")] = None,
    record: Annotated[
        str | None, typer.Option(help="Record how long the start took under this name, and stop.")
    ] = None,
) -> None:
    """Ingest the sample documents, start the engine and the gateway, ask two questions, and serve until Ctrl-C."""
    from deploy.demo import run_demo

    raise typer.Exit(run_demo(Settings(), began=began or time.time(), record=record))


def serve_model(port: Annotated[int, typer.Option(help="Port to listen on.")] = 8100) -> None:
    """Become the engine process that serves the pinned model version."""
    from deploy.engine import exec_engine

    exec_engine(Settings(), port)


def bench(
    only: Annotated[Part | None, typer.Option(help="Measure this part alone; the others' figures stay.")] = None,
) -> None:
    """Measure search and gateway cost; results go to docs/benchmarks."""
    from deploy.bench import run_benchmarks

    raise typer.Exit(run_benchmarks(Settings(), only))
