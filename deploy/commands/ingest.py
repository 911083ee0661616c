"""`twinpin ingest`: bring the library up to date with a source."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.printing import TROUBLED, AsJson, print_json, print_line
from deploy.settings import Settings

if TYPE_CHECKING:
    from retrieval.ingest.sync import Report


def ingest(
    source: Annotated[Path, typer.Argument(help="A folder with a twinpin.yaml, or a file that describes a source.")],
    as_json: AsJson = False,
) -> None:
    """Bring the library up to date with a source. Exit code 3 when a document was refused or failed."""
    from deploy.progress import RunProgress

    with RunProgress("ingesting", quiet=as_json) as progress:
        report = asyncio.run(_ingest(source, progress))
    if as_json:
        print_json(_fields(report))
    else:
        _summarise(report, progress.seconds)
    if report.troubled:
        raise typer.Exit(TROUBLED)


async def _ingest(source: Path, progress: Callable[[int, int, str], None]) -> "Report":
    from deploy.documents import open_destination
    from retrieval.ingest.sources import load_source
    from retrieval.ingest.sync import synchronise

    found = load_source(source, os.environ)
    progress(0, 0, "opening the library")
    async with open_destination(Settings()) as library:
        return await synchronise(found, library, progress)


def _fields(report: "Report") -> dict[str, object]:
    counted = {"origin": report.origin, "counts": report.counts, "chunks": report.chunks}
    return {**counted, "troubled": report.troubled, "departed": report.departed}


def _summarise(report: "Report", seconds: float) -> None:
    """What was done, and with its reason each document that did not get in or was taken from its readers."""
    for outcome in report.troubled + report.departed:
        sys.stderr.write(f"{outcome.status}: {outcome.reason}\n")
    done = ", ".join(f"{count} {status}" for status, count in sorted(report.counts.items()))
    print_line(f"{report.origin}: {done or 'no documents'}; {report.chunks} chunks written, {seconds:.1f} s")
