"""Measured figures: one JSON file a command in `docs/benchmarks/`, and the page generated from all of them."""

import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from retrieval.errors import RetrievalError

FOLDER = Path("docs/benchmarks")
PAGE = Path("docs/benchmarks.md")
_MEASURES = ("ndcg@10", "recall@10", "recall@100", "mrr", "latency_ms")
_HEAD = """# Benchmarks

Generated from `docs/benchmarks/*.json` by the commands named below; nothing here is typed by hand. Machines are shared
and noisy: compare ratios within a run, not absolute times between runs.
"""


class ResultError(RetrievalError):
    """What was measured cannot be written where it is to be; the text names the path."""


def require_writable(rows: Path | None = None, keep: Path | None = None, *, record: bool = False) -> None:
    """Before anything is measured: ResultError where a file of rows, a folder to keep, or a record cannot be written.

    Folders are made as they will be needed; a file that was not there is not left behind.
    """
    for folder in (keep, FOLDER if record else None):
        if folder is not None:
            _require_folder(folder)
    if rows is not None:
        _require_file(rows)


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A JSON object a line. Errors: ResultError."""
    try:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    except OSError as error:
        raise ResultError(f"rows cannot be written to {str(path)!r}: {error.strerror}") from error


def write_result(name: str, command: str, figures: Mapping[str, Mapping[str, Any]]) -> Path:
    """Record figures (section → name → value); make the page again."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    made = {"command": command, "commit": _commit(), "date": _now(), "machine": _machine()}
    path.write_text(json.dumps({**made, "figures": figures}, indent=2) + "\n", "utf-8")
    write_page()
    return path


def add_figures(name: str, command: str, figures: Mapping[str, Mapping[str, Any]]) -> Path:
    """Record sections beside those that earlier runs of the same command recorded."""
    path = FOLDER / f"{name}.json"
    held = json.loads(path.read_text("utf-8"))["figures"] if path.exists() else {}
    return write_result(name, command, {**held, **figures})


def record_rows(name: str, command: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Record measured configurations of finding in one list, beside those of other datasets, splits and versions.

    Of a dataset's split only the version that is pinned now is the default, and stands there once.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    held = json.loads(path.read_text("utf-8")) if path.exists() else []
    made = {"command": command, "commit": _commit(), "date": _now(), "machine": _machine()}
    kept = [row for row in held if not any(_is_replaced(row, new) for new in rows)]
    both = sorted([*kept, *({**row, **made} for row in rows)], key=_place)
    path.write_text(json.dumps(both, indent=2) + "\n", "utf-8")
    write_page()
    return path


def write_page() -> None:
    """`docs/benchmarks.md` from every result there is."""
    results = [json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))]
    PAGE.write_text(render_page(results), "utf-8")


def render_page(results: Sequence[dict[str, Any] | list[dict[str, Any]]]) -> str:
    """The page's text; a result that is a list is one table."""
    parts = [_HEAD]
    for result in results:
        if isinstance(result, list):
            parts.append(_compared(result))
            continue
        made = f"{result['date']}, commit {result['commit']}, {result['machine']}"
        parts.append(f"\n## `{result['command']}`\n\n{made}.\n")
        for section, figures in result["figures"].items():
            rows = "\n".join(f"| {name} | {_shown(value)} |" for name, value in figures.items())
            parts.append(f"\n| {section} | |\n|---|---|\n{rows}\n")
    return "".join(parts)


def _require_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ResultError(f"nothing can be kept in {str(folder)!r}: {error.strerror}; name another folder") from error


def _require_file(path: Path) -> None:
    there = path.exists()
    try:
        with path.open("ab"):
            pass
        if not there:
            path.unlink()
    except OSError as error:
        raise ResultError(f"rows cannot be written to {str(path)!r}: {error.strerror}; name another file") from error


def _is_replaced(row: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    if any(row[field] != new[field] for field in ("dataset", "split")):
        return False
    if row["index"] != new["index"]:
        return bool(row["pinned"] and new["pinned"])
    return bool(row["configuration"] == new["configuration"])


def _place(row: Mapping[str, Any]) -> tuple[str, str, bool, str]:
    return row["dataset"], row["split"], not row["pinned"], row["index"]


def _compared(rows: Sequence[Mapping[str, Any]]) -> str:
    """Configurations of finding side by side; the one that is pinned is marked, differences are to the one named."""
    head = (
        "dataset",
        "split",
        "configuration",
        *_MEASURES,
        "nDCG@10 difference, 95 %",
        "questions",
        "index",
        "measured",
    )
    parts = ["\n## Finding\n", f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}\n"]
    for row in rows:
        name = f"**{row['configuration']}**" if row["default"] else row["configuration"]
        measured = (f"{row['date'][:10]}, commit {row['commit']}, `{row['command']}`",)
        figures = [f"{row[field]:.1f}" if field == "latency_ms" else f"{row[field]:.4f}" for field in _MEASURES]
        told = (row["dataset"], row["split"], name, *figures, interval(row), row["questions"], row["index"], *measured)
        parts.append(f"| {' | '.join(map(str, told))} |\n")
    return "".join(parts)


def interval(row: Mapping[str, Any]) -> str:
    """By how much a configuration differs from the one it is held against; nothing for that one itself."""
    if "difference" not in row:
        return ""
    told = row["difference"]["ndcg@10"]
    return f"{told['mean']:+.4f} ({told['low']:+.4f} to {told['high']:+.4f}) to {row['difference']['to']}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _commit() -> str:
    """With `-dirty` where what was measured is not all in it; what earlier measuring wrote is no part of that."""
    commit = _git("rev-parse", "--short", "HEAD")
    own = [f":(top,exclude){path}" for path in (FOLDER, PAGE)]
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":(top)", *own)
    return f"{commit}-dirty" if commit and changed else commit or "unknown"


def _git(*arguments: str) -> str:
    """Whichever git the developer has, with arguments that nobody sent; nothing outside a checkout."""
    found = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return found.stdout.strip()


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
