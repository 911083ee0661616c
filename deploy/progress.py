"""How a long run is shown: a live bar on a terminal, a line now and then in a log."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_EVERY_SECONDS = 5.0


class RunProgress:
    """Call it with (done, total, what); use it as a context manager around the run. `doing` names the run."""

    def __init__(self, doing: str, *, quiet: bool = False) -> None:
        columns = (
            TextColumn(doing),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        self._doing = doing
        self._live = Progress(*columns, disable=quiet or not sys.stdout.isatty())
        self._lines = not quiet and not sys.stdout.isatty()
        self._task = self._live.add_task("", total=None)
        self._started = self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._started

    def __call__(self, done: int, total: int, what: str) -> None:
        """Note how far the run is; a total of 0 is one that nobody knows yet."""
        self._live.update(self._task, completed=done, total=total or None, description=what)
        now = time.monotonic()
        if self._lines and now - self._said > _EVERY_SECONDS:
            self._said = now
            sys.stdout.write(f"  {self._doing} {done}/{total} ({now - self._started:.0f} s): {what}\n")
            sys.stdout.flush()
