"""The manual and the product agree, both ways."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from pydantic_settings import BaseSettings
from typer.core import TyperArgument, TyperGroup, TyperOption
from typer.main import get_command

import deploy.settings
import gateway.settings
from deploy.__main__ import app
from deploy.keys import SCOPES
from gateway import errors
from gateway.errors import GatewayError
from gateway.scopes import NEEDED
from gateway.telemetry.metrics import Metrics
from retrieval.ingest.sources import Rule


@pytest.fixture(scope="session")
def manual(root: Path) -> str:
    return (root / "docs" / "operating.md").read_text("utf-8")


def rows(manual: str, section: str) -> list[list[str]]:
    """The cells of a section's table, its head left out."""
    body = re.search(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", manual, re.MULTILINE | re.DOTALL)
    assert body is not None, f"the manual has no section {section!r}"
    lines = [line for line in body.group(1).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def fields(settings: type[BaseSettings]) -> dict[str, str]:
    """Variable names and defaults."""
    return {
        f"TWINPIN_{name.upper()}": "" if field.default is None else f"`{field.default}`"
        for name, field in settings.model_fields.items()
    }


def test_every_setting_is_in_the_manual_with_its_default_and_its_reader(manual: str) -> None:
    online, commands = fields(gateway.settings.Settings), fields(deploy.settings.Settings)
    due = {}
    for name, default in {**online, **commands}.items():
        reader = "both" if name in online and name in commands else "gateway" if name in online else "commands"
        due[f"`{name}`"] = (default, reader)
    assert {cells[0]: (cells[1], cells[2]) for cells in rows(manual, "Settings")} == due
    assert {name: online[name] for name in online.keys() & commands} == {
        name: commands[name] for name in online.keys() & commands
    }, "what both read has one default"


def test_every_metric_is_in_the_manual(manual: str) -> None:
    families = Metrics().registry.collect()
    due = {f"`{one.name}_total`" if one.type == "counter" else f"`{one.name}`" for one in families}
    assert len(due) > 5
    assert {cells[0] for cells in rows(manual, "Metrics")} == due


def codes(modules: list[Any]) -> Iterator[tuple[str, str]]:
    """Status and code of every refusal: those of the classes, and those given where one is raised."""
    kinds = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    refusals = {
        name: kind for name, kind in kinds.items() if issubclass(kind, GatewayError) and kind is not GatewayError
    }
    yield from ((str(kind.status), kind.code) for kind in refusals.values())
    for module in modules:
        for call in (node for node in ast.walk(module.tree) if isinstance(node, ast.Call)):
            kind = refusals.get(ast.unparse(call.func).split(".")[-1])
            for given in call.keywords:
                if kind is not None and given.arg == "code" and isinstance(given.value, ast.Constant):
                    yield str(kind.status), str(given.value.value)


def test_every_error_code_is_in_the_manual_and_in_the_tree(manual: str, modules: list[Any]) -> None:
    due = set(codes(modules))
    assert ("503", "catalog_unavailable") in due
    assert {(cells[0], cells[1].strip("`")) for cells in rows(manual, "Errors")} == due
    tree = re.findall(r"(\d{3})  ([a-z_, ]+)$", errors.__doc__ or "", re.MULTILINE)
    assert {(status, code) for status, listed in tree for code in listed.split(", ")} == due


Usage: TypeAlias = tuple[str, list[str], set[str], set[str]]


def usages(group: TyperGroup, before: str = "") -> Iterator[Usage]:
    """Commands as the manual writes them: name, arguments, options that must and options that may be given."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from usages(command, f"{before}{name} ")
            if not command.invoke_without_command:
                continue
        arguments = [str(one.name).upper() for one in command.params if isinstance(one, TyperArgument)]
        options = {one.opts[0]: one.required for one in command.params if isinstance(one, TyperOption)}
        must = {option for option, required in options.items() if required}
        yield f"{before}{name}", arguments, must, options.keys() - must - {"--help"}


def every_command() -> list[Usage]:
    top = get_command(app)
    assert isinstance(top, TyperGroup)
    return sorted(usages(top))


def read_usage(cell: str) -> Usage:
    text = cell.strip("`").removeprefix("twinpin ")
    may = set(re.findall(r"\[(--[a-z-]+)", text))
    must = set(re.findall(r"--[a-z-]+", text)) - may
    plain = re.sub(r"\[[^\]]*\](\.\.\.)?|--[a-z-]+ [A-Z]+", "", text)
    words = plain.split()
    return " ".join(w for w in words if w.islower()), [w for w in words if w.isupper()], must, may


def test_every_command_is_in_the_manual_with_its_arguments_and_options(manual: str) -> None:
    assert sorted(read_usage(cells[0]) for cells in rows(manual, "Commands")) == every_command()
    listed = next(cells[1] for cells in rows(manual, "Commands") if "keys create" in cells[0])
    assert set(re.findall(r"`([a-z:-]+)`", listed)) == SCOPES


def test_every_route_is_in_the_manual_with_its_scopes(manual: str) -> None:
    listed = {
        cells[0].strip("`"): tuple(re.findall(r"`([a-z:]+)`", cells[1])) for cells in rows(manual, "Who may call")
    }
    assert listed == {operation.replace("{id:path}", "{id}"): needed for operation, needed in NEEDED.items()}


def test_every_field_of_a_rule_is_in_the_manual(manual: str) -> None:
    told = re.search(r"Fields: (.*?)\. A document's id", manual, re.DOTALL)
    assert told is not None
    assert set(re.findall(r"`(\w+)`", told.group(1))) == set(Rule.__struct_fields__) - {"match"}


def test_what_the_documents_tell_to_type_exists(root: Path, manual: str) -> None:
    makefile = (root / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):.*##", makefile, re.MULTILINE))
    known = {name for name, *_ in every_command()}
    for text in (manual, (root / "README.md").read_text("utf-8")):
        code = "\n".join(re.findall(r"```.*?```|`[^`]+`", text, re.DOTALL))
        for words in re.findall(r"(?<![\w-])twinpin ([a-z-]+(?: [a-z]+)?)", code):
            assert words in known or words.split()[0] in known, f"there is no command `twinpin {words}`"
        for target in re.findall(r"\bmake ([a-z]+)", code):
            assert target in targets, f"there is no `make {target}`"


def test_what_the_documents_point_at_is_there(root: Path) -> None:
    for name in ("README.md", "docs/operating.md"):
        text = (root / name).read_text("utf-8")
        linked = re.findall(r"\]\(([\w./-]+)\)", text)
        named = re.findall(r"\b((?:gateway|retrieval|serving|deploy)/[\w./-]*\w)", text)
        base = (root / name).parent
        missing = [one for one in linked if not (base / one).exists()]
        missing += [one for one in named if not (root / one).exists()]
        assert missing == [], f"{name} names what is not there"
