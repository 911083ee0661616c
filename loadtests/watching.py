"""What a process holds while it is under load: memory and descriptors, and whether they only ever grow."""

import threading
import time
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from statistics import fmean, linear_regression
from types import TracebackType
from typing import Self

from deploy.bench_process import memory_mib

_EVERY_SECONDS = 2.0
_SETTLED = 0.34  # of the time: caches and pools fill first
_LEAST = 20  # samples that a slope is worth anything from
_SURE = (
    4.0  # times its standard error: samples that follow each other are alike, which makes it look smaller than it is
)
_HOUR = 3_600.0
_FLOORS = {"memory": 16.0, "descriptors": 12.0}  # MiB and number an hour that nobody has to be woken for


@dataclass(frozen=True, slots=True)
class Held:
    """At a moment, in seconds from the beginning."""

    at: float
    memory_mib: float
    descriptors: int


@dataclass(slots=True)
class Watched:
    """Samples of a process, taken by a thread for as long as the block lasts."""

    pid: int
    samples: list[Held] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="watching", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stop.wait(_EVERY_SECONDS):
            try:
                descriptors = len(list(Path(f"/proc/{self.pid}/fd").iterdir()))
                held = Held(time.monotonic() - began, memory_mib(self.pid), descriptors)
            except OSError:  # it is gone, which its callers notice
                return
            self.samples.append(held)


def growth(samples: list[Held]) -> list[str]:
    """What grew, once it had settled: by more an hour than anybody cares for, and more surely than noise does."""
    settled = samples[int(len(samples) * _SETTLED) :]
    if len(settled) < _LEAST:
        return [f"watched for {len(settled)} samples, {_LEAST} are needed to tell growth from noise: run longer"]
    moments = [one.at for one in settled]
    held = {"memory": [one.memory_mib for one in settled], "descriptors": [float(one.descriptors) for one in settled]}
    found = []
    for name, values in held.items():
        slope, error = _slope(moments, values)
        if slope * _HOUR > _FLOORS[name] and slope > _SURE * error:
            found.append(f"{name} grew by {slope * _HOUR:.1f} an hour, over {moments[-1] - moments[0]:.0f} s")
    return found


def _slope(moments: list[float], values: list[float]) -> tuple[float, float]:
    """Of the line through the values, a second, and its standard error."""
    line, middle = linear_regression(moments, values), fmean(moments)
    left = [value - line.slope * at - line.intercept for at, value in zip(moments, values, strict=True)]
    spread = sum((at - middle) ** 2 for at in moments)
    return line.slope, sqrt(sum(one**2 for one in left) / (len(moments) - 2) / spread)
