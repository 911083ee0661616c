"""A caller who asks for a stream, and what they got of it by when."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from tests.gateway.house import REFUND_QUESTION
from tests.gateway.issuer import Issuer

_TICK = 0.05


@dataclass(frozen=True)
class Outcome:
    """A status, the text of the answer as far as it came, the error's code if there was one.

    `seconds` is how long it took, `starved` how much of that this process had no processor for.
    """

    status: int
    text: str
    code: str | None
    done: bool
    seconds: float
    starved: float
    retry_after: str | None


@dataclass
class _Got:
    """The same while it comes."""

    began: float = field(default_factory=time.monotonic)
    status: int = 0
    code: str | None = None
    retry_after: str | None = None
    said: list[str] = field(default_factory=list)
    event: str = ""
    starved: float = 0.0

    def take(self, line: str) -> None:
        """A line of the stream."""
        name, _, value = line.partition(": ")
        if name == "event":
            self.event = value
        elif name == "data" and self.event == "delta":
            self.said.append(json.loads(value)["text"])
        elif name == "data" and self.event == "error":
            self.code = json.loads(value)["error"]["code"]

    def outcome(self) -> Outcome:
        took, done = time.monotonic() - self.began, self.event == "done"
        return Outcome(self.status, "".join(self.said), self.code, done, took, self.starved, self.retry_after)

    @asynccontextmanager
    async def measuring(self) -> AsyncIterator[None]:
        """How late the event loop is: on a busy machine nobody keeps a deadline to the tenth of a second."""
        ticking = asyncio.create_task(self._tick())
        try:
            yield
        finally:
            ticking.cancel()

    async def _tick(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(_TICK)
            self.starved += time.monotonic() - began - _TICK


@dataclass
class Asking:
    """`heard` is set by the first words of the answer that was asked for last."""

    port: int
    issuer: Issuer
    patience: float
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self) -> Outcome:
        """To its end, or until patience is."""
        got = _Got()
        self.heard.clear()
        try:
            async with got.measuring(), asyncio.timeout(self.patience):
                await self._hear(got)
        except TimeoutError:
            got.code = "no end"
        except aiohttp.ClientError as error:
            got.code = type(error).__name__
        return got.outcome()

    async def _hear(self, got: _Got) -> None:
        """A new answer each time, so that each link is needed; it is kept for others."""
        url, body = f"http://127.0.0.1:{self.port}/v1/answer", {"question": REFUND_QUESTION, "stream": True}
        headers = {"authorization": f"Bearer {self.issuer.token()}", "cache-control": "no-cache"}
        async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=headers) as response:
            got.status = response.status
            if response.status != 200:
                got.code = (await response.json())["error"]["code"]
                got.retry_after = response.headers.get("retry-after")
                return
            async for line in response.content:
                got.take(line.decode().strip())
                if got.said:
                    self.heard.set()
