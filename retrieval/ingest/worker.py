"""The child process that parses: limits itself, then answers one framed document at a time until its input ends.

Run as `python -m retrieval.ingest.worker MEMORY_BYTES`.
"""

import os
import resource
import signal
import sys
from io import FileIO, RawIOBase

import msgspec

from retrieval.ingest.blocks import ParseError
from retrieval.ingest.frames import Answer, Task, read_frame, write_frame
from retrieval.ingest.parse import parse

_MEMORY = "memory"
_OPEN_FILES = 64
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_FORBIDDEN = frozenset(
    (
        *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.kill", "subprocess.Popen"),
        *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod"),
        *("os.chown", "shutil.rmtree", "ctypes.dlopen"),
        *("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"),
    )
)


def answer(task: Task) -> Answer:
    """Parse one document."""
    try:
        parsed = parse(task.name, task.raw)
    except ParseError as error:
        return Answer(reason=error.reason)
    except MemoryError:
        return Answer(broken=_MEMORY)
    return Answer(parsed.title, parsed.text, parsed.blocks, parsed.metadata)


def serve(source: RawIOBase, sink: RawIOBase) -> None:
    """Answer until the source ends; the first frame, which is empty, says that everything is loaded."""
    tasks = msgspec.msgpack.Decoder(Task)
    write_frame(sink, b"")
    while (frame := read_frame(source, limit=None)) is not None:
        task = tasks.decode(frame)
        _limit_cpu(task.cpu_seconds)
        write_frame(sink, _packed(task))


def _packed(task: Task) -> bytes:
    try:
        return msgspec.msgpack.encode(answer(task))
    except MemoryError:
        return msgspec.msgpack.encode(Answer(broken=_MEMORY))


def _limit_cpu(seconds: int) -> None:
    """The limit counts the whole life of the process, so each document moves it on."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def confine(memory_bytes: int) -> None:
    """Give up, for good: memory above the limit, files written, processes, sockets, dumps of memory."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    """Stop what reaches the interpreter; what runs as machine code meets the limits only."""
    if event in _FORBIDDEN or (event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING):
        raise PermissionError(f"a parser has no business with {event}")


def main() -> None:
    """Keep the pipe to the parent out of reach of what prints to standard output, then serve."""
    source, sink = FileIO(os.dup(0), "rb"), FileIO(os.dup(1), "wb")
    os.dup2(2, 1)
    confine(int(sys.argv[1]))
    serve(source, sink)


if __name__ == "__main__":
    main()
