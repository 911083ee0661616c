"""`twinpin documents`, `twinpin erase`: single documents, looked at and changed by hand."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.commands.printing import AsJson, print_json, print_line, print_table
from deploy.settings import Settings

if TYPE_CHECKING:
    from deploy.desk import Desk, Shown

app = typer.Typer(no_args_is_help=True, help="Documents: look at them, change them, bring earlier content back.")
Tenant = Annotated[str | None, typer.Option(help="Whose document; where it can be left out, it is plain.")]
Text = Annotated[str | None, typer.Option()]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])]
Grants = Annotated[list[str] | None, typer.Option(help="group:<name> or user:<subject>; repeat for more.")]


@app.command("list")
def list_all(
    tenant: Tenant = None,
    origin: Annotated[str | None, typer.Option(help="Only those that came from this source.")] = None,
    category: Annotated[str | None, typer.Option(help="Only those of this category.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 1_000,
    as_json: AsJson = False,
) -> None:
    """Documents in order of their ids, with who may read them."""
    from deploy.desk import Wanted

    found = _look(lambda desk: desk.listed(Wanted(tenant, origin, category, limit)))
    if as_json:
        print_json(found)
    else:
        print_table(("tenant", "id", "title", "category", "updated", "expires", "readers", "origin"), map(_row, found))


@app.command("show")
def show(document: str, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """One document, all that is known of it, and its stored text."""
    found = _look(lambda desk: desk.shown(tenant, document))
    if as_json:
        print_json(found)
        return
    text = found.pop("text")
    print_table(("field", "value"), _lines(found))
    print_line(text or "")


@app.command("put")
def put(
    file: Annotated[Path, typer.Argument(help="The file; its name chooses the parser.", exists=True, dir_okay=False)],
    document: Annotated[str, typer.Option("--id", help="The document's id, like a path.")],
    allow: Annotated[list[str], typer.Option(help="Who may read it: group:<name> or user:<subject>; repeat for more.")],
    deny: Grants = None,
    tenant: Tenant = None,
    title: Text = None,
    source: Annotated[str | None, typer.Option(help="Where a citation opens; without it, the id.")] = None,
    category: Text = None,
    updated: Day = None,
    expires: Day = None,
    supersedes: Annotated[str | None, typer.Option(help="The id of an older document that this one replaces.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take one document in, or a new version of it; it is found as soon as this ends."""
    from retrieval.acl import Access
    from retrieval.newdocument import NewDocument

    new = NewDocument(
        id=document,
        name=file.name,
        raw=file.read_bytes(),
        access=Access(tenant or "", frozenset(allow), frozenset(deny or ())),
        origin="api",
        title=title,
        source=source,
        category=category,
        updated=updated and updated.date(),
        expires=expires and expires.date(),
        supersedes=supersedes,
    )
    _show_change(_change(lambda desk: desk.put(tenant, new)), as_json)


@app.command("delete")
def delete(document: str, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """Delete a document and its history; its bytes stay in logs and backups until they go, see `twinpin erase`."""
    gone = _change(lambda desk: desk.delete(tenant, document))
    if as_json:
        print_json(gone)
        return
    print_line(f"deleted {gone['id']} (change {gone['sequence']}, {gone['chunks']} chunks)")
    for one in gone["restored"]:
        print_line(f"answers again, as nothing replaces it now: {one}")


@app.command("access")
def access(
    document: str,
    allow: Grants = None,
    nobody: Annotated[bool, typer.Option("--nobody", help="In place of --allow: take it from all readers.")] = False,
    deny: Grants = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Set who may read a document: both lists as they are to be."""
    if bool(allow) == nobody:
        raise typer.BadParameter("say who may read it from now on, --allow for each, or --nobody")
    shown = _change(lambda desk: desk.grant(tenant, document, sorted(allow or ()), sorted(deny or ())))
    if as_json:
        print_json(shown)
        return
    print_line(f"{shown['id']}: readers {_readers(shown) or 'nobody'} (change {shown['sequence']})")


@app.command("history")
def history(document: str, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """The versions of a document that are kept, newest first."""
    kept = _look(lambda desk: desk.history(tenant, document))
    if as_json:
        print_json(kept)
        return
    rows = [
        (one["at"], one["version"], "now" if one["current"] else "", one["title"], one["ingestion"]) for one in kept
    ]
    print_table(("since", "version", "", "title", "ingestion"), rows)


@app.command("revert")
def revert(
    target: Annotated[str, typer.Argument(help="A document's id, or the id of an ingestion (ing_…).")],
    to: Annotated[str | None, typer.Option(help="The version to go back to; without it, the one before.")] = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Bring earlier content back after a bad edit: never what was deleted, never who could read it then."""
    if not target.startswith("ing_"):
        _show_change(_change(lambda desk: desk.revert(tenant, target, to)), as_json)
        return
    done = _change(lambda desk: desk.revert_ingestion(tenant, target))
    if as_json:
        print_json(done)
        return
    print_table(
        ("document", "outcome", "why"), [(one["document"], one["status"], one["reason"]) for one in done["items"]]
    )


def erase(
    document: Annotated[str | None, typer.Argument(help="The document's id.")] = None,
    tenant: Tenant = None,
    receipt: Annotated[Path | None, typer.Option(help="Write the signed receipt to this file.")] = None,
    verify: Annotated[Path | None, typer.Option(help="Check the signature of a receipt, and erase nothing.")] = None,
    as_json: AsJson = False,
) -> None:
    """Erase a document everywhere, deleted already or not, with a signed receipt of what each store did."""
    if (document is None) == (verify is None):
        raise typer.BadParameter("name a document to erase, or a receipt to --verify")
    signed = _verified(verify) if verify else _change(lambda desk: desk.erase(tenant, document or ""))
    if receipt is not None:
        receipt.write_text(json.dumps(signed, indent=2) + "\n", "utf-8")
    if as_json:
        print_json(signed)
    else:
        _show_receipt(signed["receipt"])


def _verified(path: Path) -> "Shown":
    """The receipt as it was signed, if the file says the same."""
    import msgspec

    from retrieval.errors import ReceiptInvalid
    from retrieval.receipt import SignedReceipt, Signer

    try:
        held = msgspec.json.decode(path.read_bytes(), type=SignedReceipt)
    except (OSError, msgspec.DecodeError) as error:
        raise ReceiptInvalid(f"{path.name!r} is no receipt") from error
    key = Settings().signing_key
    if not key.exists():
        raise ReceiptInvalid("there is no signing key here: check the receipt where the document was erased")
    if Signer(key).verify(held.signature) != held.receipt:
        raise ReceiptInvalid(f"what the receipt {path.name!r} says is not what was signed")
    shown: Shown = msgspec.to_builtins(held)
    return shown


def _show_receipt(receipt: "Shown") -> None:
    print_line(f"{receipt['document']} of {receipt['tenant']} is erased: {receipt['id']}, {receipt['completed']}")
    rows = [(one["store"], one["done"], _scanned(one), one["until"]) for one in receipt["stores"]]
    print_table(("store", "what was done", "byte scan", "logs and backups let go by"), rows)


def _scanned(store: "Shown") -> str:
    return (
        "not possible"
        if store["scanned"] is None
        else f"{store['found']} of {store['sought']} words in {store['scanned']} bytes"
    )


def _show_change(shown: "Shown", as_json: bool) -> None:
    if as_json:
        print_json(shown)
    else:
        counted = f"change {shown['sequence']}, {shown['chunks']} chunks written"
        print_line(f"{shown['outcome']}: {shown['id']} {shown['version']} ({counted})")


def _look(what: "Callable[[Desk], Coroutine[Any, Any, Any]]") -> Any:
    from deploy.documents import open_catalog_desk

    async def done() -> Any:
        async with open_catalog_desk(Settings()) as desk:
            return await what(desk)

    return asyncio.run(done())


def _change(what: "Callable[[Desk], Coroutine[Any, Any, Shown]]") -> "Shown":
    from deploy.documents import open_desk

    async def done() -> "Shown":
        async with open_desk(Settings()) as desk:
            return await what(desk)

    return asyncio.run(done())


def _row(shown: "Shown") -> tuple[object, ...]:
    """A key that may only search is shown no access lists."""
    own = (shown[name] for name in ("id", "title", "category", "updated", "expires"))
    tenant = shown["access"]["tenant"] if "access" in shown else None
    return (tenant, *own, _readers(shown), shown.get("origin"))


def _readers(shown: "Shown") -> str:
    lists = shown.get("access", {"allow": [], "deny": []})
    return " ".join([*lists["allow"], *(f"not {one}" for one in lists["deny"])])


def _lines(shown: "Shown") -> list[tuple[str, object]]:
    plain = [(name, value) for name, value in shown.items() if name not in ("object", "access")]
    return [*plain, ("readers", _readers(shown))] if "access" in shown else plain
