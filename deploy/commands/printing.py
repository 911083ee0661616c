"""How every command prints: JSON for programs, tables for people."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
import typer

TROUBLED = 3
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def print_json(value: object) -> None:
    """Indented, in any alphabet."""
    sys.stdout.write(json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False) + "\n")


def print_line(text: str) -> None:
    """One line of plain text."""
    sys.stdout.write(f"{text}\n")


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows under a header; what is None is left empty."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*header)
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    Console().print(table)
