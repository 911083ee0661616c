"""`unless_disconnected`: work is finished, or cancelled at once, and never left behind."""

import asyncio
import contextlib

import pytest
from starlette.types import Message

from gateway.streaming import sse, unless_disconnected


class Client:
    """Sends what is left of its body, then stays until told to leave."""

    def __init__(self, *messages: Message) -> None:
        self._messages = list(messages)
        self.leaves = asyncio.Event()
        self.cancelled = False

    async def receive(self) -> Message:
        if self._messages:
            return self._messages.pop(0)
        try:
            await self.leaves.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return {"type": "http.disconnect"}


async def test_work_is_finished_while_the_client_stays() -> None:
    client, done = Client({"type": "http.request", "body": b"", "more_body": False}), []

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.append(1)

    await unless_disconnected(work(), client.receive)
    assert done == [1]
    assert client.cancelled


async def test_work_is_cancelled_when_the_client_leaves_and_may_clean_up() -> None:
    client, seen = Client(), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            seen.append("cleaned up")

    leaving = asyncio.get_running_loop().call_later(0.01, client.leaves.set)
    async with asyncio.timeout(1):
        await unless_disconnected(work(), client.receive)
    leaving.cancel()
    assert seen == ["cleaned up"]


async def test_an_error_of_the_work_comes_out() -> None:
    client = Client()

    async def work() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        await unless_disconnected(work(), client.receive)
    assert len(asyncio.all_tasks()) == 1


async def test_a_cancelled_request_leaves_nothing_running() -> None:
    client, ended = Client(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(unless_disconnected(work(), client.receive))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert len(asyncio.all_tasks()) == 1


async def test_work_that_ends_in_spite_of_a_client_that_left_leaves_the_task_as_it_was() -> None:
    client = Client()

    async def work() -> None:
        client.leaves.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    await unless_disconnected(work(), client.receive)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    await asyncio.sleep(0)


async def test_a_client_that_leaves_does_not_disturb_what_is_being_cleaned_up() -> None:
    client, cleaned = Client(), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            client.leaves.set()
            await asyncio.sleep(0.01)
            cleaned.append(True)

    task = asyncio.create_task(unless_disconnected(work(), client.receive))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == [True]


def test_an_event_is_two_lines_whatever_is_in_its_data() -> None:
    assert sse("delta", {"text": "a\nb\n\nevent: done\u2028"}) == (
        b'event: delta\ndata: {"text":"a\\nb\\n\\nevent: done\xe2\x80\xa8"}\n\n'
    )
