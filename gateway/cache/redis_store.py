"""Answers that all gateway processes share, in Redis or Valkey: sealed, under names in which nothing can be read."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import msgspec

from gateway.cache.names import Names
from gateway.cache.sealing import SealBroken, Sealer
from gateway.cache.store import CacheUnavailable, Kept
from gateway.redis_link import RedisLink, RedisUnavailable
from retrieval.residue import Residue

_HERE = Path(__file__).parent
_AT_ONCE = 500  # documents of one script: it holds up everybody else
_body = msgspec.msgpack.Decoder(tuple[frozenset[str], float, bytes])


class RedisStore:
    """A tenant's keys share a hash tag and so a slot of a cluster; every one goes away by itself."""

    def __init__(self, link: RedisLink, names: Names) -> None:
        self._link = link
        self._names = names
        self._sealer = Sealer(names.sealing_key)
        self._put = link.script(_HERE / "put.lua")
        self._purge = link.script(_HERE / "purge.lua")

    async def get(self, tenant: str, name: str) -> Kept | None:
        with _mapped():
            sealed = await self._link.get(self._answer(tenant, name))
            if sealed is None:
                return None
            documents, until, value = _body.decode(self._sealer.unseal(name, sealed))
        return Kept(tenant, name, documents, until, value)

    async def put(self, kept: Kept) -> None:
        body = msgspec.msgpack.encode((sorted(kept.documents), kept.until, kept.value))
        documents = [self._document(kept.tenant, one) for one in sorted(kept.documents)]
        sealed, until = self._sealer.seal(kept.name, body), int(1000 * kept.until)
        with _mapped():
            await self._put([self._answer(kept.tenant, kept.name), *documents], [sealed, until])

    async def drop(self, tenant: str, name: str) -> None:
        with _mapped():
            await self._link.delete(self._answer(tenant, name))

    async def purge(self, tenant: str, documents: Collection[str]) -> int:
        keys = [self._document(tenant, one) for one in sorted(documents)]
        gone = 0
        with _mapped():
            for some in _groups(keys):
                gone += await self._purge(some, ())
        return gone

    async def residue(self, tenant: str, needles: Collection[bytes]) -> Residue:
        """What is sealed cannot be looked through."""
        return Residue(None, 0)

    async def check(self) -> None:
        """Raise unless it answers."""
        with _mapped():
            await self._link.ping()

    async def close(self) -> None:
        await self._link.close()

    def _answer(self, tenant: str, name: str) -> str:
        return f"{self._of(tenant)}:answer:{name}"

    def _document(self, tenant: str, document: str) -> str:
        return f"{self._of(tenant)}:document:{self._names.document(tenant, document)}"

    def _of(self, tenant: str) -> str:
        return f"twinpin:cache:{{{self._names.tenant(tenant)}}}"


def _groups(keys: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(keys)
    while some := list(islice(rest, _AT_ONCE)):
        yield some


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except RedisUnavailable as error:
        raise CacheUnavailable(str(error)) from error
    except (SealBroken, msgspec.DecodeError) as error:
        raise CacheUnavailable(f"Redis gives what no gateway with this secret put there: {error}") from error
