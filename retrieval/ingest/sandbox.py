"""Parsing in child processes with limits on memory, time and output, without files, network or other processes.

They end with this process, however it ends. Answers come back as msgpack and are checked: a child that a document has
taken over can only answer with other text.
"""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import IO, Self, cast

import msgspec

from retrieval.errors import RetrievalError
from retrieval.ingest.blocks import Parsed, ParseError
from retrieval.ingest.frames import NOT_CONFINED, OUT_OF_MEMORY, Answer, Task, read_frame, write_frame

_ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 60.0
_LONGEST_SERVICE = 250
# Every thread, and one thread a core, would reserve address space for itself that nothing is ever put into.
_ENVIRONMENT = {"LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "1", "TOKIO_WORKER_THREADS": "1", "RAYON_NUM_THREADS": "1"}


class SandboxError(RetrievalError):
    """The parser process itself does not start; no document is to blame."""


@dataclass(frozen=True, slots=True)
class ParseLimits:
    """What one document may take; memory is address space of the whole process, its libraries included."""

    memory_bytes: int = 1024 * 1024 * 1024
    cpu_seconds: int = 20
    wall_seconds: float = 30.0
    input_bytes: int = 64 * 1024 * 1024
    output_bytes: int = 64 * 1024 * 1024


class ParserPool:
    """Up to `workers` parser processes, started when needed and replaced when a document breaks one; thread-safe."""

    def __init__(self, limits: ParseLimits = ParseLimits(), workers: int = 1) -> None:
        self._limits = limits
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._workers = [_Worker(limits) for _ in range(workers)]
        for worker in self._workers:
            self._idle.put(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def parse(self, name: str, raw: bytes) -> Parsed:
        """Parse in a child, waiting for a free one; ParseError also when a limit is broken, and it says which."""
        if len(raw) > self._limits.input_bytes:
            raise ParseError(f"the file is larger than {_mib(self._limits.input_bytes)}")
        worker = self._idle.get()
        try:
            return worker.parse(name, raw)
        finally:
            self._idle.put(worker)

    @property
    def processes(self) -> tuple[int, ...]:
        """Process ids of the children that have been started and not been ended."""
        return tuple(pid for worker in self._workers if (pid := worker.pid) is not None)

    def close(self) -> None:
        """End every child at once."""
        for worker in self._workers:
            worker.stop()


def parse_limited(name: str, raw: bytes, limits: ParseLimits = ParseLimits()) -> Parsed:
    """Parse one document in a child of its own."""
    with ParserPool(limits) as pool:
        return pool.parse(name, raw)


class _Worker:
    """One child process at a time, and the conversation with it."""

    def __init__(self, limits: ParseLimits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1
        self._served = 0

    @property
    def pid(self) -> int | None:
        process = self._process
        return None if process is None else process.pid

    def parse(self, name: str, raw: bytes) -> Parsed:
        process = self._living() or self._start()
        self._served += 1
        try:
            return self._checked(self._ask(process, Task(name, raw, self._limits.cpu_seconds)))
        finally:
            if self._served >= _LONGEST_SERVICE or process.poll() is not None:
                self.stop()

    def stop(self) -> None:
        process, self._process, self._served = self._process, None, 0
        if process is not None:
            os.close(self._lifeline)
            _end(process)

    def _living(self) -> subprocess.Popen[bytes] | None:
        """The child, unless it died while it had nothing to do."""
        if self._process is not None and self._process.poll() is not None:
            self.stop()
        return self._process

    def _start(self) -> subprocess.Popen[bytes]:
        """A child that has loaded its libraries, without our environment, directory or open files."""
        process, self._lifeline = _spawn(self._limits.memory_bytes)
        self._process = process
        with _Deadline(process, _START_SECONDS):
            code = process.wait() if read_frame(_pipe(process.stdout), limit=0) is None else None
        if code is not None:
            self.stop()
            raise SandboxError(_why_not(code))
        return process

    def _ask(self, process: subprocess.Popen[bytes], task: Task) -> Answer:
        with _Deadline(process, self._limits.wall_seconds) as deadline:
            try:
                write_frame(_pipe(process.stdin), msgspec.msgpack.encode(task))
                frame = read_frame(_pipe(process.stdout), self._limits.output_bytes)
            except BrokenPipeError:
                frame = None
            except OverflowError as error:
                self.stop()
                raise ParseError(f"its text and blocks are larger than {_mib(self._limits.output_bytes)}") from error
            code = process.wait() if frame is None else 0  # one that says no more may still be busy
        if frame is None:
            raise ParseError(self._cause(code, timed_out=deadline.passed))
        return self._decoded(frame)

    def _decoded(self, frame: bytes) -> Answer:
        try:
            answer = msgspec.msgpack.decode(frame, type=Answer)
        except msgspec.DecodeError as error:
            self.stop()
            raise ParseError("the parser gave a malformed answer") from error
        if answer.broken is not None:
            self.stop()
            raise ParseError(self._cause(OUT_OF_MEMORY, timed_out=False))
        if answer.reason is not None:
            raise ParseError(answer.reason)
        return answer

    def _checked(self, answer: Answer) -> Parsed:
        """Blocks that do not lie in the text, in order, are the work of no parser of ours."""
        end = 0
        for block in answer.blocks:
            if not end <= block.start < block.end <= len(answer.text):
                self.stop()
                raise ParseError("the parser gave a malformed answer")
            end = block.end
        return answer.parsed()

    def _cause(self, code: int, *, timed_out: bool) -> str:
        if timed_out:
            return f"it takes longer than {self._limits.wall_seconds:g} s"
        if code == -signal.SIGXCPU:
            return f"it takes more than {self._limits.cpu_seconds} s of processor time"
        if code == OUT_OF_MEMORY:
            return f"it needs more memory than {_mib(self._limits.memory_bytes)}"
        if code == -signal.SIGSYS:
            return "it made the parser ask for what no parser gets: network, programs or other processes"
        if code < 0:
            return f"the parser crashed on it ({signal.Signals(-code).name}), perhaps for want of memory"
        return f"the parser failed on it (exit code {code})"


def _why_not(code: int) -> str:
    if code == NOT_CONFINED:
        return "the parser process does not start: the kernel does not let it give up system calls (seccomp)"
    return f"the parser process does not start (exit code {code})"


def _spawn(memory_bytes: int) -> tuple[subprocess.Popen[bytes], int]:
    """The process, and the end of a pipe that it does not outlive, of which it holds the other end."""
    theirs, ours = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603  our own interpreter and module, and no shell
            [sys.executable, "-P", "-m", "retrieval.ingest.worker", str(memory_bytes), str(theirs)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PYTHONPATH": str(_ROOT), **_ENVIRONMENT},
            start_new_session=True,
            pass_fds=(theirs,),
        )
    except OSError as error:
        os.close(ours)
        raise SandboxError(f"the parser process does not start ({error.strerror})") from error
    finally:
        os.close(theirs)
    return process, ours


class _Deadline:
    """Kills a process that is not done in time, which ends every read from it."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.passed = False
        self._process = process
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()

    def _pass(self) -> None:
        self.passed = True
        self._process.kill()


def _pipe(stream: IO[bytes] | None) -> RawIOBase:
    """Popen gives raw streams when it is told not to buffer, but its type does not say so."""
    return cast("RawIOBase", stream)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def _mib(size: int) -> str:
    return f"{size / (1 << 20):g} MiB"
