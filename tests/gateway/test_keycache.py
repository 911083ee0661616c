"""An issuer's keys: read again now and then, at most once in ten seconds for keys that nobody has, and never lost."""

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from structlog.typing import EventDict

from gateway.errors import Unauthenticated, Unavailable
from gateway.identity.keycache import KeyCache
from gateway.identity.people import People
from gateway.identity.sources import KeySourceError
from tests.gateway.issuer import Issuer, entry, made, served, until, write_identity

KNOWN, UNKNOWN = ("first", "EC"), ("nobody's", "EC")


class Provider:
    """Answers with a set, or fails; `asked` counts."""

    def __init__(self) -> None:
        self.issuer, self.asked, self.fault, self.raw = Issuer(), 0, "", b""
        self.gate: asyncio.Event | None = None

    async def __call__(self) -> bytes:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.fault:
            raise KeySourceError(self.fault)
        return self.raw or self.issuer.jwks()


class Clock:
    """Time that goes on when it is told to."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(provider: Provider, clock: Clock) -> KeyCache:
    return KeyCache("https://login.example", provider, 300.0, clock)


async def test_a_flood_of_unknown_keys_asks_once_in_ten_seconds(
    cache: KeyCache, provider: Provider, clock: Clock
) -> None:
    for second in range(60):
        clock.now = 1_000.0 + second
        found = await asyncio.gather(*(cache.find((f"kid {second} {n}", "EC")) for n in range(50)))
        assert found == [None] * 50
        assert await cache.find(KNOWN) is not None
    assert provider.asked == 6


async def test_who_asks_at_once_waits_for_one_answer(cache: KeyCache, provider: Provider) -> None:
    provider.gate = asyncio.Event()
    waiting = [asyncio.create_task(cache.find(KNOWN)) for _ in range(100)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    provider.gate.set()
    found = await asyncio.gather(*waiting[1:])
    assert (provider.asked, len(set(map(id, found))), found[0] is not None) == (1, 1, True)


async def test_a_new_key_is_found_and_an_old_one_goes(cache: KeyCache, provider: Provider, clock: Clock) -> None:
    first = await cache.find(KNOWN)
    provider.issuer.keys["next"] = ("ES256", made("P-256", 1))
    clock.now += 10
    assert await cache.find(("next", "EC")) is not None
    assert await cache.find(KNOWN) is first, "what stays is the same, so that what was verified by it counts on"
    del provider.issuer.keys["first"]
    await cache.refresh()
    clock.now += 10
    assert await cache.find(KNOWN) is None


async def test_another_key_of_the_same_name_is_another_key(cache: KeyCache, provider: Provider) -> None:
    before = await cache.find(KNOWN)
    provider.issuer.keys["first"] = ("ES256", made("P-256", 1))
    await cache.refresh()
    assert await cache.find(KNOWN) is not before


def a_set(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


PUBLIC = {**made("P-256").as_dict(private=False), "kid": "k"}
UNUSABLE: dict[str, bytes] = {
    "nothing": b" ",
    "no JSON": b"<html>",
    "no set": b"[]",
    "no list": b'{"keys": {}}',
    "no keys": a_set(),
    "lists without end": b"[" * 100_000,
    "too many": a_set(*[PUBLIC] * 101),
    "a symmetric one": a_set({"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ", "kid": "k"}),
    "one without a name": a_set({**PUBLIC, "kid": None}, {name: PUBLIC[name] for name in PUBLIC if name != "kid"}),
    "one for encryption": a_set({**PUBLIC, "use": "enc"}, {**PUBLIC, "key_ops": ["encrypt"]}),
    "a short one": a_set({"kty": "RSA", "kid": "k", "e": "AQAB", "n": "w" * 171}),
    "one off its curve": a_set({**PUBLIC, "x": PUBLIC["y"]}),
    "no objects": a_set("k", None, 7),
}


@pytest.mark.parametrize("case", ["it is away", *UNUSABLE])
async def test_a_failure_leaves_the_last_good_keys(
    cache: KeyCache, provider: Provider, clock: Clock, logged: list[EventDict], case: str
) -> None:
    good = await cache.find(KNOWN)
    logged.clear()
    provider.raw, provider.fault = UNUSABLE.get(case, b""), "it is away" if case not in UNUSABLE else ""
    for _ in range(3):
        clock.now += 10
        assert await cache.find(UNKNOWN) is None
        assert await cache.find(KNOWN) is good
    assert cache.trouble
    assert [(line["event"], line["kept"]) for line in logged] == [("issuer_keys_refused", 1)]
    provider.raw, provider.fault = b"", ""
    await cache.refresh()
    assert cache.trouble is None


async def test_keys_that_were_never_read_are_a_part_that_is_gone(cache: KeyCache, provider: Provider) -> None:
    provider.fault = "it is away"
    for _ in range(5):
        with pytest.raises(Unavailable) as caught:
            await cache.find(KNOWN)
        assert (caught.value.code, caught.value.retry_after) == ("issuer_unavailable", 10.0)
    assert provider.asked == 1


async def test_a_private_key_that_is_published_counts_by_its_public_half(cache: KeyCache, provider: Provider) -> None:
    provider.raw = a_set({**made("P-256").as_dict(private=True), "kid": "first"})
    key = await cache.find(KNOWN)
    assert key is not None
    assert not key.is_private


async def test_keys_are_due_now_and_then_and_sooner_after_a_failure(
    cache: KeyCache, provider: Provider, clock: Clock
) -> None:
    assert cache.due()
    await cache.refresh()
    clock.now += 299
    assert not cache.due()
    clock.now += 1
    assert cache.due()
    provider.fault = "it is away"
    await cache.refresh()
    clock.now += 30
    assert cache.due()


async def counts(people: People, token: str) -> bool:
    try:
        await people.person(token)
    except Unauthenticated:
        return False
    return True


async def test_a_real_issuer_is_asked_once_whatever_keys_are_named(tmp_path: Path) -> None:
    with served(Issuer()) as issuer:
        issuer.wait = 0.05
        stranger = Issuer(url=issuer.url, keys={f"k{n}": ("ES256", made("P-256", 9)) for n in range(200)})
        async with People.open(write_identity(tmp_path / "identity.yaml", entry(issuer))) as people:
            forged = [stranger.token(kid) for kid in stranger.keys]
            assert not any(await asyncio.gather(*(counts(people, token) for token in forged)))
            assert await counts(people, issuer.token())
            assert issuer.fetched == 1


async def test_keys_rotate_while_requests_flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next key is published, used, and the first withdrawn: no good token is refused, none that is over counts."""
    monkeypatch.setattr("gateway.identity.people._LOOK_SECONDS", 0.01)
    with served(Issuer()) as issuer:
        async with People.open(write_identity(tmp_path / "identity.yaml", entry(issuer))) as people:
            cache = people._issuers[issuer.url].cache
            cache.every = 0.05
            following = asyncio.create_task(people.run())
            old, refused, asked, current = issuer.token(), 0, 0, "first"

            async def flow() -> None:
                nonlocal refused, asked
                while True:
                    refused += not await counts(people, issuer.token(current, jti=str(asked)))
                    asked += 1
                    await asyncio.sleep(0.002)

            flowing = [asyncio.create_task(flow()) for _ in range(4)]
            assert await counts(people, old)
            issuer.keys = {**issuer.keys, "next": ("ES256", made("P-256", 1))}
            await until(lambda: ("next", "EC") in cache.keys)
            current = "next"
            await asyncio.sleep(0.05)
            issuer.keys = {"next": issuer.keys["next"]}
            await until(lambda: ("first", "EC") not in cache.keys)
            assert not await counts(people, old), "it was verified and remembered, and its key is gone"
            before = asked
            await until(lambda: asked > before + 20)
            for task in (*flowing, following):
                task.cancel()
            await asyncio.wait([*flowing, following])
            assert (refused, asked > 50) == (0, True)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"{}"),
        (302, b"{}"),
        (200, b"{}"),
        (200, b'{"issuer": "https://another.example", "jwks_uri": "https://another.example/k"}'),
        (200, b" " * (2 << 20)),
    ],
)
async def test_what_an_issuer_should_not_answer_is_no_answer(
    tmp_path: Path, status: int, body: bytes, logged: list[EventDict]
) -> None:
    with ExitStack() as stack:
        issuer = stack.enter_context(served(Issuer(answer=(status, body))))
        async with People.open(write_identity(tmp_path / "identity.yaml", entry(issuer))) as people:
            with pytest.raises(Unavailable):
                await people.person(issuer.token())
            assert people.states() == {"ready": 0, "stale": 0, "unavailable": 1}
        assert logged[-1]["event"] == "issuer_keys_refused"
        assert issuer.url in logged[-1]["reason"]
        assert issuer.asked == ["/.well-known/openid-configuration"]


async def test_an_insecure_address_for_keys_is_not_followed(tmp_path: Path, logged: list[EventDict]) -> None:
    with served(Issuer()) as issuer:
        document = {"issuer": issuer.url, "jwks_uri": "http://login.example/keys"}
        issuer.answer = (200, json.dumps(document).encode())
        async with People.open(write_identity(tmp_path / "identity.yaml", entry(issuer))) as people:
            with pytest.raises(Unavailable):
                await people.person(issuer.token())
        assert "no https URL" in logged[-1]["reason"]
