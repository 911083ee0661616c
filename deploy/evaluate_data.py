"""What is measured on collections of documents that are not part of the product: one part for each of them."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.evaluate_attacks import measure_attacks
from deploy.evaluate_collections import measure_clapnq, measure_mtrag, measure_scifact
from deploy.evaluate_handbook import measure_handbook
from deploy.evaluate_parsing import measure_parsing
from deploy.evaluate_rewriting import measure_rewriting
from deploy.measured import Measured
from deploy.results import record_rows, write_result, write_rows
from deploy.settings import Settings

_COMMAND = "make evaluate DATA=DIR"


@dataclass(frozen=True, slots=True)
class Part:
    """`folder` of the data is measured by `measure`, which is given the data."""

    folder: str
    measure: Callable[[Path], Measured]


PARTS: Mapping[str, Part] = {
    "parsing": Part("docs_markitdown", measure_parsing),
    "handbook": Part("18f_handbook", lambda data: Measured(measure_handbook(data))),
    "scifact": Part("scifact", measure_scifact),
    "mtrag": Part("mtrag_un", measure_mtrag),
    "abstention": Part("clapnq_dev", measure_clapnq),
    "attacks": Part("bipia", measure_attacks),
    "rewriting": Part("cast_rewrite", measure_rewriting),
}


def run_parts(data: Path, parts: Mapping[str, Part] = PARTS) -> int:
    """Measure, print and record every part whose folder is there; 1 when one does not hold, or none is there."""
    held = [_run(name, part, data) for name, part in parts.items() if (data / part.folder).is_dir()]
    if not held:
        folders: Sequence[str] = [part.folder for part in parts.values()]
        sys.stdout.write(f"{data} has none of the folders {', '.join(folders)}\n")
    return 0 if held and all(held) else 1


def _run(name: str, part: Part, data: Path) -> bool:
    measured = part.measure(data)
    if measured.configurations:
        path = record_rows("retrieval", _COMMAND, measured.configurations)
        sys.stdout.write(f"{part.folder} recorded in {path}\n")
    if measured.figures:
        path = write_result(name, _COMMAND, measured.figures)
        _print(measured.figures)
        sys.stdout.write(f"recorded in {path}\n")
    if measured.rows:
        rows = Settings().rows_of(name)
        write_rows(rows, measured.rows)
        sys.stdout.write(f"each question in {rows}\n")
    return measured.held


def _print(figures: Mapping[str, Mapping[str, Any]]) -> None:
    for section, values in figures.items():
        sys.stdout.write(f"\n{section}\n")
        for name, value in values.items():
            sys.stdout.write(f"  {name:60} {value}\n")
