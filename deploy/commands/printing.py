"""How every command prints: JSON for programs, tables for people."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
import typer

TROUBLED = 3
_WIDEST = 10_000
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def print_json(value: object) -> None:
    """Indented, in any alphabet."""
    sys.stdout.write(json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False) + "\n")


def print_line(text: str) -> None:
    """One line of plain text."""
    sys.stdout.write(f"{text}\n")


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows under a header; what is None is left empty. Long words are broken, never cut: names are there to be copied.

    In a file or a pipe lines are as long as they have to be.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console.width = max(
            console.width, console.measure(table, options=console.options.update(max_width=_WIDEST)).maximum
        )
    console.print(table)
