"""`twinpin records`, `twinpin explain`, `twinpin replay`: what was answered, to whom, from what, by which versions."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from deploy.commands.printing import TROUBLED, AsJson, print_json, print_line, print_table
from deploy.settings import Settings

if TYPE_CHECKING:
    from deploy.recorddesk import RecordDesk
    from retrieval.records.chain import Head

app = typer.Typer(no_args_is_help=True, help="Records of answers: check their chain, export them, erase a person.")
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])]


def explain(record: str, as_json: AsJson = False) -> None:
    """How an answer came about: who asked, what was found, which versions and why, verdict, tokens, cost, stages."""
    found = _desk(lambda desk: desk.shown(record))
    if as_json:
        print_json(found)
        return
    from rich.console import Console

    from deploy.explaining import show_record

    show_record(Console(), found)


def replay(
    record: str,
    index: Annotated[str | None, typer.Option(help="The index version to ask; without it, the recorded one.")] = None,
    model: Annotated[str | None, typer.Option(help="The model version to ask; without it, the recorded one.")] = None,
    question: Annotated[str | None, typer.Option(help="The question, where the record only has its digest.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a recorded question again, as the holder of the key, and show what is different now."""
    from deploy.client import Gateway
    from deploy.recorddesk import RemoteRecords
    from deploy.replaying import differences, question_of
    from deploy.replaying import replay as ask_again

    with Gateway(Settings()) as gateway:
        before = asyncio.run(RemoteRecords(gateway).shown(record))
        after = ask_again(gateway, before, question_of(before, question), index, model)
    found = list(differences(before, after))
    if as_json:
        print_json({"before": before["id"], "after": after["id"], "differences": found})
        return
    print_line(f"{after['id']} answers {before['id']} again: {after['facts']['outcome']}")
    print_table(("what", "before", "now"), [(one.what, one.before, one.after) for one in found])


@app.command("verify")
def verify(
    head: Annotated[str | None, typer.Option(help="An earlier head, SEQUENCE:DIGEST, that was kept elsewhere.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compute the whole chain anew; names the first batch or record that is not as it was written."""
    from deploy.recorddesk import open_record_store
    from retrieval.records.store import known_heads

    heads = [_head(head)] if head else []

    async def checked() -> Any:
        async with open_record_store(Settings()) as local:
            return await local.store.book.verify([*heads, *await known_heads(local.store)])

    checker, fault = asyncio.run(checked())
    at = f"{checker.head.sequence}:{checker.head.digest}"
    if as_json:
        print_json({"records": checker.records, "head": at, "fault": fault})
    elif fault is None:
        print_line(f"{checker.records} records in {checker.head.sequence} batches are as they were written; head {at}")
    else:
        named = f", record {fault.record}" if fault.record else ""
        print_line(f"batch {fault.batch}{named}: {fault.told}")
    if fault is not None:
        raise typer.Exit(TROUBLED)


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="Where to write; it must not be there yet.")],
    since: Day = None,
    until: Day = None,
    tenant: Annotated[str | None, typer.Option(help="Only records of this tenant.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only answer, feedback, decision or erasure.")] = None,
    format: Annotated[Literal["jsonl", "parquet"], typer.Option(help="jsonl or parquet.")] = "jsonl",
) -> None:
    """Write records to a file, oldest first; an erasure does not reach it any more."""
    from deploy.exporting import export_records
    from retrieval.records.book import Wanted

    wanted = Wanted(tenant, _start(since), _start(until), kind)
    count = _desk(lambda desk: export_records(desk.each(wanted), file, format))
    print_line(f"{count} records written to {file}")


@app.command("erase")
def erase(
    tenant: Annotated[str, typer.Option(help="The person's tenant.")],
    subject: Annotated[str, typer.Option(help="Who it is, as in keys and records.")],
    as_json: AsJson = False,
) -> None:
    """Erase who a person was and what was said by them; that there were answers stays, and the chain with it."""
    done = _desk(lambda desk: desk.erase(tenant, subject), changing=True)
    if as_json:
        print_json(done)
    else:
        print_line(f"{done['records']} records of {tenant} hold nothing of this person any more: {done['done']}")


def _desk(what: "Callable[[RecordDesk], Coroutine[Any, Any, Any]]", *, changing: bool = False) -> Any:
    from deploy.recorddesk import open_record_desk

    async def done() -> Any:
        async with open_record_desk(Settings(), changing=changing) as desk:
            return await what(desk)

    return asyncio.run(done())


def _head(given: str) -> "Head":
    from retrieval.records.chain import Head

    sequence, _, digest = given.partition(":")
    if not sequence.isdigit() or not digest:
        raise typer.BadParameter("write a head as it was printed: SEQUENCE:DIGEST")
    return Head(int(sequence), digest)


def _start(day: datetime | None) -> datetime | None:
    return day and day.replace(tzinfo=UTC)
