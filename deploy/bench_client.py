"""Callers that cost next to nothing: HTTP/1.1 on a connection that is kept, each answer read to its end."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Self


class AnswerRefused(Exception):
    """Something other than a 200 came back; the text says what."""


class Caller:
    """One connection to a port of this machine; use it as a context manager."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *raised: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def ask(self, request: bytes) -> float:
        """Seconds until the answer's last byte. Errors: AnswerRefused."""
        started = time.perf_counter()
        status, body = await self.answer(request)
        if status != 200:
            raise AnswerRefused(f"{status} from port {self._port}: {body[:300].decode(errors='replace')}")
        return time.perf_counter() - started

    async def answer(self, request: bytes) -> tuple[int, bytes]:
        """The status and the whole body."""
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        return int(head.split(b" ", 2)[1]), await self._body(head)

    async def _body(self, head: bytes) -> bytes:
        if b"transfer-encoding: chunked" in head:
            return b"".join([chunk async for chunk in self._chunks()])
        length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
        return await self._reader.readexactly(int(length.partition(b":")[2]))

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self._reader.readline(), 16):
            yield (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readline()


def post(path: str, body: Mapping[str, object], key: str, headers: Mapping[str, str] | None = None) -> bytes:
    """A request as it goes over the wire."""
    content = json.dumps(body).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = (
        f"POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n{more}"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def get(path: str) -> bytes:
    """The same without a key and a body."""
    return f"GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n".encode()


async def all_answered(port: int, requests: Sequence[bytes], callers: int) -> list[float]:
    """Seconds that each took, with so many callers at work at any time."""
    left = iter(requests)
    async with AsyncExitStack() as stack:
        ready = [await stack.enter_async_context(Caller(port)) for _ in range(min(callers, len(requests)))]
        taken = await asyncio.gather(*(_one_by_one(caller, left) for caller in ready))
    return [seconds for each in taken for seconds in each]


async def _one_by_one(caller: Caller, left: Iterator[bytes]) -> list[float]:
    return [await caller.ask(request) for request in left]
