"""What a soak does before it looks: it fills what remembers vectors, so that what grows then is something else."""

import asyncio
import json
import random
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.bench_client import all_answered, post
from retrieval.models.room import room_of
from retrieval.models.textcache import BESIDE

HELD_BYTES = 32 << 20  # room for all that the sample's questions need, and filled within a minute or two
_FLOAT_BYTES = 4
_WORDS, _PARAGRAPHS, _CALLERS = 12, 60, 4
_PATIENCE = 300.0


@dataclass(frozen=True, slots=True)
class Filling:
    """Who asks and who writes, and how long a vector is."""

    port: int
    askers: Sequence[str]
    writer: str
    tenant: str
    dimensions: int

    def run(self) -> None:
        """Questions and documents that there will never be again, until they have taken all of the room."""
        rng, room = random.Random(11), room_of(HELD_BYTES)  # noqa: S311 - a load, not a secret
        each = _FLOAT_BYTES * self.dimensions + BESIDE
        # twelve words that no tokenizer knows are sixty tokens and more: they fill the room of those as well
        asked = [_words(rng, _WORDS) for _ in range(room.questions // each + 1)]
        questions = [post("/v1/search", {"query": one}, rng.choice(self.askers)) for one in asked]
        asyncio.run(all_answered(self.port, questions, _CALLERS))
        put, left = 0, room.passages // each + 1
        while left > 0:
            left -= self._written(f"filling-{put}.md", rng)
            put += 1

    def _written(self, name: str, rng: random.Random) -> int:
        """Chunks that were made of a document, which is gone again."""
        text = "\n\n".join(_words(rng, 4 * _WORDS) for _ in range(_PARAGRAPHS))
        access = {"tenant": self.tenant, "allow": ["user:load"], "deny": []}
        made = self._sent("PUT", name, {"title": name, "text": text, "access": access})
        self._sent("DELETE", name, None)
        if not made["chunks"]:
            raise ValueError(f"{name} became no chunk, so that nothing would ever be full")
        return int(made["chunks"])

    def _sent(self, method: str, name: str, body: dict[str, object] | None) -> dict[str, int]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/documents/{name}",
            None if body is None else json.dumps(body).encode(),
            {"authorization": f"Bearer {self.writer}", "content-type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310 - the same
            told: dict[str, int] = json.load(answer)
        return told


def _words(rng: random.Random, number: int) -> str:
    return " ".join(f"{rng.getrandbits(40):010x}" for _ in range(number))
