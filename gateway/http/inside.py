"""A request that this process sends to itself, through what every other one goes through."""

from starlette.types import ASGIApp, Message, Receive, Scope


async def sent(app: ASGIApp, scope: Scope, body: bytes, then: Receive) -> tuple[int, bytes]:
    """Status and body of the answer, 0 and nothing where there is none; `then` tells what comes after `body`."""
    unread, status, said = True, 0, []

    async def receive() -> Message:
        nonlocal unread
        if unread:
            unread = False
            return {"type": "http.request", "body": body}
        return await then()

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        said.append(message.get("body", b""))

    await app(scope, receive, send)
    return status, b"".join(said)
