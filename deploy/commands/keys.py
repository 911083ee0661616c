"""`twinpin keys`: who may call, as whom, for what, and for how long."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer

from deploy import keys as keyfile
from deploy.commands.printing import AsJson, print_json, print_line, print_table
from deploy.settings import Settings

app = typer.Typer(no_args_is_help=True, help="API keys: who may call, as whom, and for what.")


@app.command("create")
def create(
    tenant: Annotated[str, typer.Option(help="The tenant this caller belongs to.")],
    subject: Annotated[str, typer.Option(help="Who the caller is, for access lists and records.")],
    group: Annotated[list[str] | None, typer.Option(help="A group of the caller; repeat for more.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="What the key may do; default ask, search, feedback.")] = None,
    name: Annotated[str | None, typer.Option(help="What the key is for, for whoever lists keys.")] = None,
    expires: Annotated[str | None, typer.Option(help="When it ends: 90d, 12h, or a day.")] = None,
    allowed_group: Annotated[
        list[str] | None,
        typer.Option(help="A group whose documents an app may read for a user in it; repeat for more, * is every one."),
    ] = None,
    by_name: Annotated[
        bool, typer.Option("--by-name", help="An app may also read for a user what is shared with them by name.")
    ] = False,
) -> None:
    """Create a key and print its secret once; only a digest is stored."""
    secret = keyfile.create_key(
        Settings().keys,
        tenant=tenant,
        subject=subject,
        groups=group or [],
        scopes=scope or ["ask", "search", "feedback"],
        name=name,
        expires=keyfile.expiry(expires, datetime.now(UTC)) if expires else None,
        allowed_groups=allowed_group or [],
        by_name=by_name,
    )
    print_line(secret)


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """Show all keys, without secrets."""
    held, now = keyfile.read_keys(Settings().keys).keys.values(), datetime.now(UTC)
    if as_json:
        print_json([_fields(key, now) for key in held])
    else:
        header = ("prefix", "name", "tenant", "subject", "groups", "scopes", "acts for", "expires")
        print_table(header, [_row(key, now) for key in held])


@app.command("revoke")
def revoke(prefix: str) -> None:
    """Revoke the key with this prefix; the running gateway refuses it from the next request on."""
    revoked = keyfile.revoke_key(Settings().keys, prefix)
    print_line(f"revoked {revoked.prefix} ({revoked.tenant}, {revoked.subject})")


def _fields(key: keyfile.ApiKey, now: datetime) -> dict[str, Any]:
    fields = {name: value for name, value in msgspec.structs.asdict(key).items() if name != "digest"}
    return {**fields, "expired": key.expired(now)}


def _row(key: keyfile.ApiKey, now: datetime) -> list[str | None]:
    reached = [*key.allowed_groups, *(["(by name)"] if key.by_name else [])]
    over = " (over)" if key.expired(now) else ""
    ends = f"{key.expires:%Y-%m-%d %H:%M}{over}" if key.expires else None
    lists = [",".join(one) for one in (key.groups, key.scopes, reached)]
    return [key.prefix, key.name, key.tenant, key.subject, *lists, ends]
