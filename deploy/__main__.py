"""The operator's command line: `twinpin`, or `python -m deploy`."""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy import keys as keyfile
from deploy.client import GatewayRefused, post
from deploy.local import StackError
from deploy.pinboard import ReleaseConfigError, read_pinboard
from deploy.settings import Settings
from deploy.showing import show_answer, show_passages
from retrieval.errors import RetrievalError
from serving.errors import ServingError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Twinpin: two pins, one for the index, one for the model.",
)
keys = typer.Typer(no_args_is_help=True, help="API keys: who may call, as whom, and for what.")
app.add_typer(keys, name="keys")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
REFUSED, TROUBLED = 2, 3


@app.command()
def ask(question: str, as_json: AsJson = False) -> None:
    """Ask a question and show the answer with its citations."""
    answer = post(Settings(), "/v1/answer", {"question": question})
    if as_json:
        _print_json(answer)
    else:
        show_answer(Console(), answer)


@app.command()
def search(query: str, limit: Annotated[int, typer.Option(min=1, max=50)] = 5, as_json: AsJson = False) -> None:
    """Show the passages that would be found, with their scores."""
    found = post(Settings(), "/v1/search", {"query": query, "limit": limit})
    if as_json:
        _print_json(found)
    else:
        show_passages(Console(), found["passages"])


@app.command()
def ingest(folder: Path, as_json: AsJson = False) -> None:
    """Bring the pinned index up to date with a folder. Exit code 3 when a document was refused or failed."""
    from deploy.ingesting import ingest_folder
    from deploy.progress import IngestProgress

    settings = Settings()
    with IngestProgress(quiet=as_json) as progress:
        report = asyncio.run(ingest_folder(folder, settings, read_pinboard(settings.releases), progress))
    progress.summarise(report, as_json=as_json)
    if report.troubled:
        raise typer.Exit(TROUBLED)


@app.command()
def run(
    began: Annotated[float | None, typer.Option(help="When the whole start began, in seconds since the epoch.")] = None,
    record: Annotated[
        str | None, typer.Option(help="Record how long the start took under this name, and stop.")
    ] = None,
) -> None:
    """Ingest the sample documents, start the engine and the gateway, ask two questions, and serve until Ctrl-C."""
    from deploy.demo import run_demo

    raise typer.Exit(run_demo(Settings(), began=began or time.time(), record=record))


@app.command("serve-model")
def serve_model(port: Annotated[int, typer.Option(help="Port to listen on.")] = 8100) -> None:
    """Become the engine process that serves the pinned model version."""
    from deploy.engine import exec_engine

    exec_engine(Settings(), port)


@app.command()
def evaluate() -> None:
    """Start the stack and measure finding, citing and abstaining on the sample's golden questions."""
    from deploy.evaluate import run_evaluation

    raise typer.Exit(run_evaluation(Settings()))


@app.command()
def bench() -> None:
    """Measure search and gateway cost; results go to docs/benchmarks."""
    from deploy.bench import run_benchmarks

    raise typer.Exit(run_benchmarks(Settings()))


@keys.command("create")
def keys_create(
    tenant: Annotated[str, typer.Option(help="The tenant this caller belongs to.")],
    subject: Annotated[str, typer.Option(help="Who the caller is, for access lists and records.")],
    group: Annotated[list[str] | None, typer.Option(help="A group of the caller; repeat for more.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="What the key may do; default ask, search, feedback.")] = None,
) -> None:
    """Create a key and print its secret once; only a digest is stored."""
    scopes = scope or ["ask", "search", "feedback"]
    secret = keyfile.create_key(Settings().keys, tenant=tenant, subject=subject, groups=group or [], scopes=scopes)
    sys.stdout.write(f"{secret}\n")


@keys.command("list")
def keys_list(as_json: AsJson = False) -> None:
    """Show all keys, without secrets."""
    held = keyfile.read_keys(Settings().keys).keys.values()
    rows = [[key.prefix, key.tenant, key.subject, ",".join(key.groups), ",".join(key.scopes)] for key in held]
    if as_json:
        _print_json([dict(zip(("prefix", "tenant", "subject", "groups", "scopes"), row, strict=True)) for row in rows])
    else:
        _print_table(["prefix", "tenant", "subject", "groups", "scopes"], rows)


@keys.command("revoke")
def keys_revoke(prefix: str) -> None:
    """Revoke the key with this prefix; the running gateway refuses it from the next request on."""
    revoked = keyfile.revoke_key(Settings().keys, prefix)
    sys.stdout.write(f"revoked {revoked.prefix} ({revoked.tenant}, {revoked.subject})\n")


def main() -> None:
    """Run a command; expected refusals are one line on standard error and exit code 2."""
    expected = (GatewayRefused, ReleaseConfigError, RetrievalError, ServingError, StackError, keyfile.KeyFileError)
    try:
        app()
    except expected as error:
        sys.stderr.write(f"twinpin: {error}\n")
        sys.exit(REFUSED)


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _print_table(header: list[str], rows: list[list[str]]) -> None:
    from rich.table import Table

    table = Table(*header)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
