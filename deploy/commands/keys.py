"""`twinpin keys`: who may call, as whom, and for what."""

from typing import Annotated

import typer

from deploy import keys as keyfile
from deploy.commands.printing import AsJson, print_json, print_line, print_table
from deploy.settings import Settings

app = typer.Typer(no_args_is_help=True, help="API keys: who may call, as whom, and for what.")
_HEADER = ("prefix", "tenant", "subject", "groups", "scopes")


@app.command("create")
def create(
    tenant: Annotated[str, typer.Option(help="The tenant this caller belongs to.")],
    subject: Annotated[str, typer.Option(help="Who the caller is, for access lists and records.")],
    group: Annotated[list[str] | None, typer.Option(help="A group of the caller; repeat for more.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="What the key may do; default ask, search, feedback.")] = None,
) -> None:
    """Create a key and print its secret once; only a digest is stored."""
    scopes = scope or ["ask", "search", "feedback"]
    secret = keyfile.create_key(Settings().keys, tenant=tenant, subject=subject, groups=group or [], scopes=scopes)
    print_line(secret)


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """Show all keys, without secrets."""
    held = keyfile.read_keys(Settings().keys).keys.values()
    rows = [[key.prefix, key.tenant, key.subject, ",".join(key.groups), ",".join(key.scopes)] for key in held]
    if as_json:
        print_json([dict(zip(_HEADER, row, strict=True)) for row in rows])
    else:
        print_table(_HEADER, rows)


@app.command("revoke")
def revoke(prefix: str) -> None:
    """Revoke the key with this prefix; the running gateway refuses it from the next request on."""
    revoked = keyfile.revoke_key(Settings().keys, prefix)
    print_line(f"revoked {revoked.prefix} ({revoked.tenant}, {revoked.subject})")
