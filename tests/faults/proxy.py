"""A TCP proxy that spoils what goes through it, one direction at a time, in the ways that networks and machines do."""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, cast, get_args

Fault = Literal["latency", "bandwidth", "reset", "black hole", "slow close", "garbage", "half response"]
Direction = Literal["to", "from"]
Connect: TypeAlias = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]

FAULTS: tuple[Fault, ...] = get_args(Fault)
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
LATENCY, CLOSE_AFTER = 0.1, 1.0
BYTES_A_SECOND, SLICE = 16_384, 1_024
_CHUNK = 65_536
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


@dataclass(slots=True, eq=False)
class _Link:
    """One connection, until both have closed it; `left` once the gateway has.

    It is `dead` once something of it was swallowed: nothing gets through any more, and no end.
    """

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    dead: bool = False
    left: bool = False

    def reset(self) -> None:
        """Both ends are told that the connection is no more."""
        for writer in (self.client, self.server):
            own = writer.get_extra_info("socket")
            if not writer.is_closing() and own.family != socket.AF_UNIX:
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()


@dataclass(slots=True)
class Proxy:
    """What stands between the gateway and one of its servers; as long as no fault is set it only passes on."""

    connect: Connect
    port: int = 0
    fault: Fault | None = None
    direction: Direction = "to"
    _random: random.Random = field(default_factory=lambda: random.Random(1))
    _links: set[_Link] = field(default_factory=set)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def connections(self) -> int:
        """Those that the gateway holds."""
        return sum(not link.left for link in self._links)

    def spoil(self, fault: Fault, direction: Direction) -> None:
        """From now on, in this direction: to the server, or from it."""
        self.fault, self.direction = fault, direction

    def heal(self) -> None:
        """Pass on as before. Connections are as the fault has left them: it is the gateway's to be rid of them."""
        self.fault = None

    def cut(self) -> None:
        """Reset all connections: the next request makes one of its own."""
        for link in list(self._links):
            link.reset()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until the gateway has closed it and its server is done, too."""
        try:
            upstream, server = await self.connect()
        except OSError:
            writer.transport.abort()
            return
        link, serving = _Link(writer, server), cast("asyncio.Task[None]", asyncio.current_task())
        self._links.add(link)
        self._serving.add(serving)
        answering = asyncio.create_task(self._pump(upstream, writer, "from", link))
        await self._pump(reader, server, "to", link)
        link.left = True
        if link.dead:
            link.reset()
        await answering
        self._links.discard(link)
        self._serving.discard(serving)
        writer.close()
        server.close()

    async def close(self) -> None:
        """End whatever goes on."""
        self.cut()
        if self._serving:
            await asyncio.wait(self._serving)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, direction: Direction, link: _Link
    ) -> None:
        try:
            while chunk := await source.read(_CHUNK):
                await self._pass(chunk, sink, self.fault if direction == self.direction else None, link)
            if self.fault == "slow close" and direction == self.direction:
                await asyncio.sleep(CLOSE_AFTER)
            if sink.can_write_eof() and not link.dead:
                sink.write_eof()
        except OSError:
            link.reset()

    async def _pass(self, chunk: bytes, sink: asyncio.StreamWriter, fault: Fault | None, link: _Link) -> None:
        if link.dead:
            return
        match fault:
            case "black hole":
                link.dead = True
                return
            case "reset":
                link.reset()
                return
            case "half response":
                sink.write(chunk[: len(chunk) // 2])
                await sink.drain()
                sink.close()
                return
            case "latency":
                await asyncio.sleep(LATENCY)
            case "bandwidth":
                for start in range(0, len(chunk), SLICE):
                    sink.write(chunk[start : start + SLICE])
                    await sink.drain()
                    await asyncio.sleep(SLICE / BYTES_A_SECOND)
                return
            case "garbage":
                chunk = self._random.randbytes(len(chunk))
        sink.write(chunk)
        await sink.drain()


@asynccontextmanager
async def proxying(connect: Connect) -> AsyncIterator[Proxy]:
    """Listens on loopback."""
    proxy = Proxy(connect)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()


def over_tcp(port: int) -> Connect:
    """A server on loopback."""
    return lambda: asyncio.open_connection("127.0.0.1", port)


def over_unix(path: str) -> Connect:
    """A server on a socket in a folder."""
    return lambda: asyncio.open_unix_connection(path)
