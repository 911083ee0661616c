"""The child process that parses: limits itself, then answers one framed document at a time until its input ends.

Run as `python -m retrieval.ingest.worker MEMORY_BYTES LIFELINE`, where the lifeline is a pipe that nobody writes to.
"""

import encodings
import fcntl
import importlib
import os
import pkgutil
import resource
import signal
import sys
from io import FileIO, RawIOBase

import msgspec

from retrieval.ingest.blocks import ParseError
from retrieval.ingest.formats import wordstyles
from retrieval.ingest.frames import NOT_CONFINED, OUT_OF_MEMORY, Answer, Task, read_frame, write_frame
from retrieval.ingest.parse import parse
from retrieval.ingest.syscalls import forbid_system_calls

_MEMORY = "memory"
_OPEN_FILES = 64
_ELSEWHERE = frozenset({"mbcs", "oem"})
_WORDS = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj "
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>endobj "
    b"4 0 obj<</Length 32>>stream\nBT /F 9 Tf 9 9 Td (words) Tj ET \nendstream endobj "
    b"5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj trailer<</Size 6/Root 1 0 R>>"
)
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


def load() -> None:
    """Have in memory what parsing would read from files later: codecs, the PDF engine, Word's own styles."""
    for module in pkgutil.iter_modules(encodings.__path__):
        if module.name not in _ELSEWHERE:
            importlib.import_module(f"encodings.{module.name}")
    parse("words.pdf", _WORDS)
    wordstyles.default_styles()


def die_with(lifeline: int) -> None:
    """Have the kernel end this process as soon as the other end of the pipe is closed, whatever it is doing."""
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def limit(memory_bytes: int) -> None:
    """No memory above the limit from now on, no growing file, no dump of memory."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))


def confine() -> None:
    """Give up, for good, files, network and other processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    forbid_system_calls()
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    """Say what was refused where it passes the interpreter; where there is no filter, it is all that refuses."""
    if event in _FORBIDDEN or (event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING):
        raise PermissionError(f"a parser has no business with {event}")


def main() -> None:
    """Keep the pipe to the parent out of reach of what prints to standard output, then serve."""
    source, sink = FileIO(os.dup(0), "rb"), FileIO(os.dup(1), "wb")
    os.dup2(2, 1)
    os.set_inheritable(lifeline := int(sys.argv[2]), False)
    die_with(lifeline)
    limit(int(sys.argv[1]))
    load()
    try:
        confine()
    except OSError:
        sys.exit(NOT_CONFINED)
    try:
        serve(source, sink)
    except MemoryError:
        sys.exit(OUT_OF_MEMORY)


if __name__ == "__main__":
    main()
