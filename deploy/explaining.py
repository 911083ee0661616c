"""How a record looks on a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape

_WHO = (
    "subject",
    "credential",
    "app",
    "user",
    "conversation",
    "question_digest",
    "searched_digest",
    "history_digest",
    "format_digest",
)


def show_record(console: Console, record: Mapping[str, Any]) -> None:
    """Who asked, what was found, by which versions and why, what came of it and what it took."""
    facts, person, sources, words = (record[name] for name in ("facts", "person", "sources", "words"))
    console.print(f"[bold]{record['id']}[/bold]  {record['kind']} of {escape(record['tenant'])}, {record['created']}")
    if record["erased"]:
        console.print(f"  [yellow]erased:[/yellow] {', '.join(record['erased'])}")
    _lines(console, "asked", {name: person.get(name) for name in _WHO})
    _lines(console, "said", {name: words.get(name) for name in ("question", "searched_for", "answer")})
    for marker, passage in enumerate(sources.get("passages", ()), start=1):
        _passage(console, marker, passage)
    for one in sources.get("citations", ()):
        place = f"{escape(one['document'])} characters {one['start']}-{one['end']}"
        console.print(f"  cites \\[{one['marker']}] {place} [dim]support {one['support']:.2f}, {one['origin']}[/dim]")
    _lines(console, "", {name: _plain(value) for name, value in facts.items()})
    for one in record.get("about", ()):
        told = "  ".join(f"{name} {_plain(value)}" for name, value in {**one["facts"], **one["words"]}.items() if value)
        console.print(f"  [cyan]{one['kind']}[/cyan] {one['created']} {escape(told)}")
    console.print(f"  [dim]record {record['n']} of batch {record['batch']}, {record['digest']}[/dim]")


def _passage(console: Console, marker: int, passage: Mapping[str, Any]) -> None:
    rank = passage.get("rank") or marker  # what an earlier release found has none, and stands best first
    ranked = "" if rank == marker else f"  rank {rank}"
    rerank = "" if passage["rerank"] is None else f"  rerank {passage['rerank']:.3f}"
    console.print(
        f"  {marker}. {escape(passage['document'])} [dim]{passage['version'][:19]} characters "
        f"{passage['start']}-{passage['end']}  fused {passage['fused']:.3f}  dense {passage['dense']:.3f}  "
        f"bm25 {passage['bm25']:.2f}{rerank}{ranked}[/dim]"
    )


def _lines(console: Console, title: str, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        if value not in (None, "", (), []):
            console.print(f"  [dim]{escape(f'{title} {name}'.strip())}:[/dim] {escape(str(value))}")


def _plain(value: object) -> object:
    return ", ".join(f"{name} {one}" for name, one in value.items()) if isinstance(value, Mapping) else value
