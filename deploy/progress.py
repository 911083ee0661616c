"""How a long run is shown: a live bar on a terminal, a line now and then in a log."""

import json
import sys
import time
from types import TracebackType
from typing import Self

import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from retrieval.ingest.pipeline import Report

_EVERY_SECONDS = 5.0


class IngestProgress:
    """Call it with (done, total, what); use it as a context manager around the run."""

    def __init__(self, *, quiet: bool = False) -> None:
        columns = (
            TextColumn("ingesting"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        self._live = Progress(*columns, disable=quiet or not sys.stdout.isatty())
        self._lines = not quiet and not sys.stdout.isatty()
        self._task = self._live.add_task("", total=None)
        self._started = self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, done: int, total: int, what: str) -> None:
        """Note how far the run is."""
        self._live.update(self._task, completed=done, total=total, description=what)
        now = time.monotonic()
        if self._lines and now - self._said > _EVERY_SECONDS:
            self._said = now
            sys.stdout.write(f"  ingesting {done}/{total} ({now - self._started:.0f} s): {what}\n")
            sys.stdout.flush()

    def summarise(self, report: Report, *, as_json: bool) -> None:
        """What was done, and with its reason each document that did not get in or was taken from its readers."""
        counts: dict[str, int] = {}
        for outcome in report.outcomes:
            counts[outcome.status] = counts.get(outcome.status, 0) + 1
        if as_json:
            shown = {
                "counts": counts,
                "embedded": report.embedded,
                "troubled": report.troubled,
                "departed": report.departed,
                "manifest": report.manifest,
            }
            sys.stdout.write(json.dumps(msgspec.to_builtins(shown), indent=2) + "\n")
            return
        for outcome in report.troubled + report.departed:
            sys.stderr.write(f"{outcome.status}: {outcome.reason}\n")
        done = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        manifest, took = report.manifest, time.monotonic() - self._started
        sys.stdout.write(
            f"{manifest.name}: {done}; {report.embedded} chunks embedded, {manifest.chunks} held, {took:.1f} s\n"
        )
