"""Measured figures: one JSON file a command in `docs/benchmarks/`, and the page generated from all of them."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path("docs/benchmarks")
PAGE = Path("docs/benchmarks.md")
_HEAD = """# Benchmarks

Generated from `docs/benchmarks/*.json` by the commands named below; nothing here is typed by hand. Machines are shared
and noisy: compare ratios within a run, not absolute times between runs.
"""


def write_result(
    name: str, command: str, figures: Mapping[str, Mapping[str, Any]], *, rows: Sequence[Mapping[str, Any]] = ()
) -> Path:
    """Record figures (section → name → value), and a row per case if there are any; make the page again."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    date = datetime.now(UTC).isoformat(timespec="seconds")
    made = {"command": command, "commit": _commit(), "date": date, "machine": _machine()}
    result: dict[str, Any] = {**made, "figures": figures}
    if rows:
        result["rows"] = rows
    path.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    write_page()
    return path


def add_figures(name: str, command: str, figures: Mapping[str, Mapping[str, Any]]) -> Path:
    """Record sections beside those that earlier runs of the same command recorded."""
    path = FOLDER / f"{name}.json"
    held = json.loads(path.read_text("utf-8"))["figures"] if path.exists() else {}
    return write_result(name, command, {**held, **figures})


def write_page() -> None:
    """`docs/benchmarks.md` from every result there is."""
    results = [json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))]
    PAGE.write_text(render_page(results), "utf-8")


def render_page(results: list[dict[str, Any]]) -> str:
    """The page's text."""
    parts = [_HEAD]
    for result in results:
        made = f"{result['date']}, commit {result['commit']}, {result['machine']}"
        parts.append(f"\n## `{result['command']}`\n\n{made}.\n")
        for section, figures in result["figures"].items():
            rows = "\n".join(f"| {name} | {_shown(value)} |" for name, value in figures.items())
            parts.append(f"\n| {section} | |\n|---|---|\n{rows}\n")
    return "".join(parts)


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _commit() -> str:
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 - whichever git the developer has
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "unknown"


def _machine() -> str:
    named = (line.partition(":")[2].strip() for line in _cpu_lines() if line.startswith("model name"))
    model = next(named, "unknown CPU")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return f"{os.cpu_count()} cores ({model}), {memory} GiB, Python {platform.python_version()}"


def _cpu_lines() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
