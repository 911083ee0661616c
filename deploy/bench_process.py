"""What a process and its children have cost, by the kernel's own accounts (`/proc`)."""

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads so far, of those that have ended, too."""
    return sum(_own_seconds(one) for one in _tree(pid))


def memory_mib(pid: int) -> float:
    """Resident memory, what is shared with other processes divided among them (PSS)."""
    return sum(_pss_kib(one) for one in _tree(pid)) / 1024


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in listed.read_text("utf-8").split():
            yield from _tree(int(child))


def _own_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _pss_kib(pid: int) -> int:
    """0 of a child that has ended, whether its parent knows already or not."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines()
    except (ProcessLookupError, FileNotFoundError):
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
