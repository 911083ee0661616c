"""What a process holds while it is under load: memory and descriptors, and whether they only ever grow."""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, linear_regression
from types import TracebackType
from typing import Self

from deploy.bench_process import memory_mib

_EVERY_SECONDS = 2.0
_SETTLED = 0.34  # of the time: caches and pools fill first
_LEAST = 20  # samples that a slope is worth anything from


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
    """What grew: by more than a twentieth in the time that was watched, once it had settled."""
    settled = samples[int(len(samples) * _SETTLED) :]
    if len(settled) < _LEAST:
        return [f"watched for {len(settled)} samples, {_LEAST} are needed to tell growth from noise: run longer"]
    found = []
    for name, values in (
        ("memory", [one.memory_mib for one in settled]),
        ("descriptors", [float(one.descriptors) for one in settled]),
    ):
        slope = linear_regression([one.at for one in settled], values).slope
        grown = slope * (settled[-1].at - settled[0].at) / fmean(values)
        if grown > 0.05:
            found.append(f"{name} grew by {grown:.0%} in {settled[-1].at - settled[0].at:.0f} s")
    return found
