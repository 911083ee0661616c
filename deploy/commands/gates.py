"""`twinpin gates`: paths that a leak probe has closed, at the gateway that TWINPIN_URL names."""

from typing import Annotated, Any

import typer

from deploy.client import Gateway
from deploy.commands.printing import AsJson, print_json, print_line, print_table
from deploy.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Paths that a leak probe has closed: see them, open them.")


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """Show what is closed, and since when."""
    closed = _call("GET")
    if as_json:
        print_json(closed)
    elif closed:
        print_table(("path", "closed since"), closed.items())
    else:
        print_line("no path is closed")


@app.command("open")
def open_one(path: Annotated[str, typer.Argument(help='As `list` names it, such as "POST /v1/search".')]) -> None:
    """Open a path; only once its probes are clean again and you know what they saw."""
    left = _call("POST", {"open": path})
    print_line(f"{path} is open" + (f"; still closed: {', '.join(sorted(left))}" if left else ""))


def _call(method: str, body: dict[str, str] | None = None) -> dict[str, Any]:
    with Gateway(Settings()) as gateway:
        closed: dict[str, Any] = gateway.call(method, "/v1/gates", body)["closed"]
    return closed
