"""What it saves to show passages in the order of earlier prompts: first words on a real vLLM, next to the order found.

Both orders are two model versions of one gateway, which so have salts of their own, and are asked each question in
turn. The pinned version's prompt begins with the question, after which no two prompts are alike: here it stands last.
"""

import asyncio
import itertools
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

import msgspec
import yaml

from deploy.bench_client import AnswerRefused, Caller, post
from deploy.bench_rounds import Figures
from deploy.bench_stack import ENGINE_PORT, PORT
from deploy.bench_trace import DOCUMENTS, SECTIONS, asked, library, write_library
from deploy.keys import create_key
from deploy.local import Stack
from deploy.pinboard import read_pinboard
from deploy.settings import Settings
from retrieval.index import load_recipe
from serving.manifest import SHARED_PREFIX, ModelManifest, PassageOrder, load_manifest, manifest_name

EXPONENT, QUESTIONS, SCOPES = 1.0, 320, 5
_ROOM = {"VLLM_CPU_KVCACHE_SPACE": "2"}  # GiB, twice what an engine has: each order has as much as it would have alone
_QUESTION = "{passages}\n\nUse the text above to answer the question: {question}"
_HITS = re.compile(rb"^vllm:prefix_cache_hits_total\{[^}]*\} (\S+)$", re.MULTILINE)
_METRICS = b"GET /metrics HTTP/1.1\r\nhost: bench\r\n\r\n"


@dataclass(slots=True)
class Took:
    """What the answers of one version took: seconds to each first word, of that finding, and tokens of prompts."""

    first: list[float] = field(default_factory=list)
    finding: list[float] = field(default_factory=list)
    prompt: int = 0
    cached: int = 0

    def add(self, answer: Mapping[str, Any]) -> None:
        """Take one answer into account."""
        self.first.append(answer["timings"]["first_token"])
        self.finding.append(answer["timings"]["retrieval"])
        self.prompt += answer["usage"]["prompt_tokens"]
        self.cached += answer["usage"]["cached_tokens"]


def measure_prefixes(settings: Settings) -> dict[str, Figures]:
    """Milliseconds to the first word, and what the engine's own counters say of prefixes that it had read before."""
    with tempfile.TemporaryDirectory() as folder:
        documents, own = library(), _settings(settings, Path(folder))
        names = [f"reader-{number}" for number in range(SCOPES + 1)]
        write_library(Path(folder) / "documents", documents, names)
        found, shared = _versions(own)
        with Stack(own) as stack:
            stack.start_engine(_ROOM)
            stack.ingest(Path(folder) / "documents")
            readers = [_key(own, name, "ask", "release:override") for name in names]
            stack.serve({"TWINPIN_FIRST_TOKEN_SECONDS": "30"})
            questions = list(itertools.islice(asked(documents, EXPONENT), QUESTIONS))
            return asyncio.run(_measure(questions, readers, found, shared))


async def _measure(questions: Sequence[str], readers: Sequence[str], found: str, shared: str) -> dict[str, Figures]:
    took = {found: Took(), shared: Took()}
    async with Caller(PORT) as gateway:
        for number, question in enumerate(questions):
            for version in (found, shared) if number % 2 else (shared, found):
                took[version].add(await _answer(gateway, question, readers[0], version))
        others = readers[1:]
        hits = [await _hits()]
        for _ in range(2):
            for reader in others:
                await _answer(gateway, questions[0], reader, shared)
            hits.append(await _hits())
    trace = (
        f"{QUESTIONS} questions on {DOCUMENTS} documents of {SECTIONS} passages by Zipf's law, exponent {EXPONENT:g}"
    )
    across, within = hits[1] - hits[0], hits[2] - hits[1]
    scopes: Figures = {
        "tokens from the cache, first asked by each (goal 0)": across,
        "tokens from the cache, asked by each again (goal > 0)": within,
    }
    return {
        f"first words on vLLM, {trace}": _figures(took[found], took[shared]),
        f"prefix cache of vLLM, one question asked by {SCOPES} readers of other permissions": scopes,
    }


def _figures(found: Took, shared: Took) -> Figures:
    without = [
        [first - finding for first, finding in zip(one.first, one.finding, strict=True)] for one in (found, shared)
    ]
    return {
        "passages as found: p50 ms": 1_000 * median(found.first),
        "passages as found: mean ms": 1_000 * fmean(found.first),
        "passages as found: share of prompt tokens from the cache": found.cached / found.prompt,
        "in the order of earlier prompts: p50 ms": 1_000 * median(shared.first),
        "in the order of earlier prompts: mean ms": 1_000 * fmean(shared.first),
        "in the order of earlier prompts: share of prompt tokens from the cache": shared.cached / shared.prompt,
        "p50, order of earlier prompts over as found (goal ≤ 0.8)": median(shared.first) / median(found.first),
        "mean, order of earlier prompts over as found (goal ≤ 0.8)": fmean(shared.first) / fmean(found.first),
        "mean without finding, order of earlier prompts over as found": fmean(without[1]) / fmean(without[0]),
        "prompt tokens per question": round(found.prompt / len(found.first)),
    }


async def _answer(gateway: Caller, question: str, key: str, version: str) -> Mapping[str, Any]:
    """Its first word is all that is waited for."""
    request = post("/v1/answer", {"question": question, "max_tokens": 1}, key, {"x-twinpin-model": version})
    status, body = await gateway.answer(request)
    if status != 200:
        raise AnswerRefused(f"{status} from the gateway: {body[:300].decode(errors='replace')}")
    answer: Mapping[str, Any] = json.loads(body)
    return answer


async def _hits() -> int:
    """Tokens of prompts that the engine had read before, since it started."""
    async with Caller(ENGINE_PORT) as engine:
        _, body = await engine.answer(_METRICS)
    return round(sum(float(told) for told in _HITS.findall(body)))


def _key(settings: Settings, subject: str, *scopes: str) -> str:
    return create_key(settings.keys, tenant="tallis", subject=subject, groups=["staff"], scopes=scopes)


def _versions(settings: Settings) -> tuple[str, str]:
    pin = read_pinboard(settings.releases).pins.model
    return str(pin.previous), pin.stable


def _settings(settings: Settings, folder: Path) -> Settings:
    """A release of its own: five passages for every question, whatever they are worth, and one version per order."""
    board = read_pinboard(settings.releases)
    recipe = msgspec.structs.replace(
        load_recipe(board.index_recipe()),
        label="bench",
        passages=SECTIONS,
        reranker=None,
        abstain_below=-1.0,
        abstain_weakest=0.0,
    )
    pinned = load_manifest(board.model_manifest())
    found, shared = (_ordered(pinned, order) for order in ("best_first", SHARED_PREFIX))
    versions = folder / "versions"
    versions.mkdir()
    for version in (recipe, found, shared):
        (versions / f"{version.name}.yaml").write_text(yaml.safe_dump(msgspec.to_builtins(version)), "utf-8")
    pins = {"index": {"stable": recipe.name}, "model": {"stable": shared.name, "previous": found.name}}
    (folder / "releases.yaml").write_text(yaml.safe_dump(pins), "utf-8")
    (folder / "models").symlink_to((settings.data / "models").resolve())
    return Settings(
        data=folder,
        releases=folder / "releases.yaml",
        port=PORT,
        engine_port=ENGINE_PORT,
        engine_python=settings.engine_python,
        url=f"http://127.0.0.1:{PORT}",
    )


def _ordered(pinned: ModelManifest, order: PassageOrder) -> ModelManifest:
    """The pinned version with its question after the passages, and these in this order."""
    changed = replace(pinned, prompt=replace(pinned.prompt, question=_QUESTION), passage_order=order)
    fields = {**msgspec.to_builtins(changed)}
    del fields["name"]
    return replace(changed, name=manifest_name("bench", fields))
