"""`twinpin documents` and `twinpin erase`: the same on this machine and through a gateway."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.commandline import Cli, refused
from tests.gateway.house import House
from tests.gateway.librarians import BADGE, LANYARD


@pytest.fixture(params=["here", "gateway"])
def desk(request: pytest.FixtureRequest, cli: Cli) -> Cli:
    """Commands of tenant acme, on this machine or through a gateway as its writer."""
    if request.param == "gateway":
        house: House = request.getfixturevalue("served")
        environment: pytest.MonkeyPatch = request.getfixturevalue("environment")
        environment.setenv("TWINPIN_API_KEY", house.keys["wanda"])
    return cli


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "badges.md"
    made.write_text(f"# Badges\n\n{BADGE}")
    return made


def put(cli: Cli, file: Path, *more: str) -> dict[str, Any]:
    said = cli(
        "documents",
        "put",
        str(file),
        "--id",
        "visits/badges.md",
        "--allow",
        "group:staff",
        "--tenant",
        "acme",
        *more,
        "--json",
    )
    assert (said.code, said.err) == (0, "")
    shown: dict[str, Any] = json.loads(said.out)
    return shown


def shown(cli: Cli, *arguments: str) -> Any:
    said = cli(*arguments, "--json")
    assert (said.code, said.err) == (0, ""), said
    return json.loads(said.out)


def test_a_document_lives_through_all_commands(desk: Cli, file: Path, tmp_path: Path) -> None:
    first = put(desk, file, "--category", "visits", "--updated", "2026-03-01", "--deny", "user:eve")
    assert (first["outcome"], first["title"], first["updated"]) == ("added", "Badges", "2026-03-01")
    assert first["access"] == {"tenant": "acme", "allow": ["group:staff"], "deny": ["user:eve"]}
    assert shown(desk, "documents", "show", "visits/badges.md")["text"] == f"Badges\n\n{BADGE}"
    (row,) = shown(desk, "documents", "list", "--category", "visits")
    assert (row["id"], row["version"], row["access"]) == ("visits/badges.md", first["version"], first["access"])

    file.write_text(f"# Badges\n\n{LANYARD}")
    assert put(desk, file)["outcome"] == "updated"
    assert [one["current"] for one in shown(desk, "documents", "history", "visits/badges.md")] == [True, False]
    access = shown(desk, "documents", "access", "visits/badges.md", "--allow", "group:hr")["access"]
    assert access == {"tenant": "acme", "allow": ["group:hr"], "deny": []}
    back = shown(desk, "documents", "revert", "visits/badges.md")
    assert (back["outcome"], back["version"], back["access"]) == ("updated", first["version"], access)
    to = shown(desk, "documents", "history", "visits/badges.md")[1]["version"]
    assert shown(desk, "documents", "revert", "visits/badges.md", "--to", to)["version"] == to

    gone = shown(desk, "documents", "delete", "visits/badges.md")
    assert (gone["object"], gone["id"], gone["restored"]) == ("document.deleted", "visits/badges.md", [])
    assert "there is no" in refused(desk("documents", "delete", "visits/badges.md"))
    receipt = tmp_path / "receipt.json"
    signed = shown(desk, "erase", "visits/badges.md", "--receipt", str(receipt))
    assert json.loads(receipt.read_text()) == signed
    assert signed["receipt"]["document"] == "visits/badges.md"
    assert "there is no" in refused(desk("erase", "never-was.md"))


def test_people_are_shown_tables_and_sentences(desk: Cli, file: Path) -> None:
    put(desk, file)
    said = desk("documents", "list")
    assert "visits/badges.md" in said.out
    assert "group:staff" in said.out
    assert BADGE in desk("documents", "show", "visits/badges.md").out
    assert desk("documents", "access", "visits/badges.md", "--deny", "user:eve").code == 2, "nobody by mistake"
    assert "readers nobody" in desk("documents", "access", "visits/badges.md", "--nobody").out
    assert "sha256:" in desk("documents", "history", "visits/badges.md").out
    assert desk("documents", "delete", "visits/badges.md").out.startswith("deleted visits/badges.md (change ")
    erased = desk("erase", "visits/badges.md").out
    assert "visits/badges.md of acme is erased: era_" in erased
    assert "catalog" in erased


def test_what_is_refused_is_one_line_and_two(desk: Cli, file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 nothing")
    arguments = ("--id", "x", "--tenant", "acme")
    assert "cannot be parsed" in refused(desk("documents", "put", str(broken), "--allow", "group:staff", *arguments))
    assert "group:<name>" in refused(desk("documents", "put", str(file), "--allow", "staff", *arguments))
    assert "there is no" in refused(desk("documents", "show", "none"))
    put(desk, file)
    assert "no earlier version" in refused(desk("documents", "revert", "visits/badges.md"))
    assert "no" in refused(desk("documents", "revert", "ing_" + "0" * 26))


def test_a_receipt_verifies_here_until_somebody_touches_it(cli: Cli, file: Path, tmp_path: Path) -> None:
    put(cli, file)
    receipt = tmp_path / "receipt.json"
    assert cli("erase", "visits/badges.md", "--receipt", str(receipt)).code == 0
    assert "visits/badges.md of acme is erased" in cli("erase", "--verify", str(receipt)).out
    good = json.loads(receipt.read_text())
    forged = {**good, "receipt": {**good["receipt"], "document": "another.md"}}
    head, _, signature = good["signature"].rpartition(".")
    unsigned = {"receipt": good["receipt"]}
    wrongs: list[Any] = [forged, {**good, "signature": f"{head}.{'A' * len(signature)}"}, unsigned, []]
    for wrong in wrongs:
        receipt.write_text(json.dumps(wrong))
        assert "receipt" in refused(cli("erase", "--verify", str(receipt)))
    receipt.write_text(json.dumps(good))
    (tmp_path / "data" / "signing-key.pem").unlink()
    assert "no signing key here" in refused(cli("erase", "--verify", str(receipt)))
    assert not (tmp_path / "data" / "signing-key.pem").exists()


def test_a_tenant_has_to_be_said_only_where_it_is_not_plain(cli: Cli, file: Path) -> None:
    common = ("documents", "put", str(file), "--allow", "group:staff")
    assert "--tenant" in refused(cli(*common, "--id", "a"))
    for tenant, document in (("acme", "a"), ("acme", "both"), ("other", "both")):
        assert cli(*common, "--id", document, "--tenant", tenant).code == 0
    assert shown(cli, "documents", "show", "a")["access"]["tenant"] == "acme"
    assert "in several tenants (acme, other)" in refused(cli("documents", "show", "both"))
    assert shown(cli, "documents", "show", "both", "--tenant", "other")["access"]["tenant"] == "other"
    assert "there is no" in refused(cli("documents", "show", "a", "--tenant", "other"))
    assert [one["id"] for one in shown(cli, "documents", "list", "--tenant", "acme")] == ["a", "both"]
    assert len(shown(cli, "documents", "list", "--limit", "2")) == 2


def test_a_folder_goes_through_a_gateway(
    cli: Cli, served: House, folder: Path, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("TWINPIN_API_KEY", served.keys["wanda"])
    (folder / "badges.md").write_text(BADGE)
    said = cli("ingest", str(folder))
    assert (said.code, said.err) == (0, "")
    assert "docs: 2 added" in said.out
    assert "docs: 2 unchanged" in cli("ingest", str(folder)).out
    (folder / "badges.md").unlink()
    (folder / "a.md").write_text("# Refunds\n\nWithin 60 days.")
    said = cli("ingest", str(folder))
    assert "1 gone, 1 updated" in said.out
    assert [one["id"] for one in shown(cli, "documents", "list", "--origin", "docs")] == ["a.md"]


def test_a_key_of_one_tenant_brings_in_no_others(
    cli: Cli, served: House, folder: Path, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("TWINPIN_API_KEY", served.keys["wim"])
    assert "the scope 'admin'" in refused(cli("ingest", str(folder)))
    environment.setenv("TWINPIN_API_KEY", served.keys["ana"])
    assert "the scope" in refused(cli("ingest", str(folder)))
    environment.setenv("TWINPIN_API_KEY", served.keys["root"])
    (folder / "twinpin.yaml").write_text(
        'origin: docs\nrules: [{match: "*.md", tenant: acme, allow: ["group:staff"]}, {match: "b.md", tenant: other}]'
    )
    (folder / "b.md").write_text(BADGE)
    assert cli("ingest", str(folder)).code == 0
    rows = shown(cli, "documents", "list", "--origin", "docs", "--tenant", "*")
    assert {(one["access"]["tenant"], one["id"]) for one in rows} == {("acme", "a.md"), ("other", "b.md")}
    assert "2 unchanged" in cli("ingest", str(folder)).out
