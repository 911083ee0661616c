"""What embedding costs: questions one by one and together, passages and comparisons by runtime and precision."""

import asyncio
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median

import msgspec

from deploy.bench_corpus import milliseconds
from deploy.golden import load_questions
from deploy.pinboard import read_pinboard
from deploy.sampling import DOCUMENTS, SAMPLE
from deploy.settings import Settings
from retrieval.errors import RecipeError
from retrieval.index import Embedding
from retrieval.models.embed_local import LocalEmbedder

CALLERS = (1, 8, 32)
_ROUNDS, _PASSAGES, _WORDS = 5, 128, 110
_COMPARED, _COMPARED_WORDS = 12, 150
_RUNTIMES = (("torch", "f32"), ("openvino", "f32"), ("openvino", "bf16"))
Figures = dict[str, float | int]


def measure_embedding(settings: Settings) -> dict[str, Figures]:
    """The pinned model under every runtime that this machine has; what is compared takes turns within one run."""
    board = read_pinboard(settings.releases)
    embedding = board.recipes[board.pins.index.stable].embedder
    recipes = list(_runnable(embedding, settings.converted))
    figures = {_title(recipe): asyncio.run(_questions(recipe, settings.converted)) for recipe in recipes}
    comparing = f"comparing a question with {_COMPARED} passages of {_COMPARED_WORDS} words by their tokens"
    return figures | {
        f"embedding {_PASSAGES} passages of {_WORDS} words": _passages(recipes, settings.converted),
        comparing: asyncio.run(_comparisons(recipes, settings.converted)),
    }


def _runnable(embedding: Embedding, converted: Path) -> Iterator[Embedding]:
    for runtime, precision in _RUNTIMES:
        recipe = msgspec.structs.replace(embedding, runtime=runtime, precision=precision)
        try:
            LocalEmbedder(recipe, converted).close()
        except RecipeError as error:
            sys.stdout.write(f"left out: {error}\n")
        else:
            yield recipe


def _title(recipe: Embedding) -> str:
    return f"embedding questions with {_name(recipe)}, one by one and together"


def _name(recipe: Embedding) -> str:
    return f"{recipe.runtime} {recipe.precision}"


async def _questions(recipe: Embedding, converted: Path) -> Figures:
    """Each caller asks its next question when the last one is answered; no question is asked twice in a round."""
    asked = _asked()
    with (
        closing(LocalEmbedder(recipe, converted, together=1)) as alone,
        closing(LocalEmbedder(recipe, converted)) as many,
    ):
        figures: Figures = {}
        for callers in CALLERS:
            gains, taken = [], []
            await _round(alone, asked, callers)
            for _ in range(_ROUNDS):
                one_by_one, together = await _round(alone, asked, callers), await _round(many, asked, callers)
                gains.append(sum(one_by_one) / sum(together))
                taken += together
            named = f"{callers} caller{'s' if callers > 1 else ''}"
            figures[f"{named}, p50 ms"] = milliseconds(taken, 50)
            figures[f"{named}, p99 ms"] = milliseconds(taken, 99)
            figures[f"{named}, questions a second"] = callers * len(taken) / sum(taken)
            figures[f"{named}, times the throughput of one by one"] = median(gains)
        return figures


async def _round(embedder: LocalEmbedder, asked: Sequence[str], callers: int) -> list[float]:
    """Seconds that each question took."""
    embedder.forget()
    waiting, taken = iter(asked), []

    async def caller() -> None:
        for question in waiting:
            started = time.perf_counter()
            await embedder.embed_query(question)
            taken.append(time.perf_counter() - started)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return taken


def _passages(recipes: Sequence[Embedding], converted: Path) -> Figures:
    """Against the first of the recipes, which is the library as it comes."""
    texts = _texts(_PASSAGES, _WORDS)
    embedders = {_name(recipe): LocalEmbedder(recipe, converted) for recipe in recipes}
    vectors = {name: embedder.embed(texts) for name, embedder in embedders.items()}
    seconds: dict[str, list[float]] = {name: [] for name in embedders}
    for _ in range(_ROUNDS):
        for name, embedder in embedders.items():
            embedder.forget()
            started = time.perf_counter()
            embedder.embed(texts)
            seconds[name].append(time.perf_counter() - started)
    for embedder in embedders.values():
        embedder.close()
    return _compared(seconds, vectors)


def _compared(seconds: Mapping[str, Sequence[float]], vectors: Mapping[str, Sequence[Sequence[float]]]) -> Figures:
    first, *others = seconds
    figures: Figures = {f"{first}, passages a second": _PASSAGES / median(seconds[first])}
    for name in others:
        gains = [plain / fast for plain, fast in zip(seconds[first], seconds[name], strict=True)]
        pairs = zip(vectors[first], vectors[name], strict=True)
        figures[f"{name}, passages a second"] = _PASSAGES / median(seconds[name])
        figures[f"{name}, times the throughput of {first}"] = median(gains)
        figures[f"{name}, least cosine to {first}"] = min(_dot(one, other) for one, other in pairs)
    return figures


async def _comparisons(recipes: Sequence[Embedding], converted: Path) -> Figures:
    """With nothing held, and with the passages held and a question that is new."""
    passages = _texts(_COMPARED, _COMPARED_WORDS)
    embedders = {_name(recipe): LocalEmbedder(recipe, converted) for recipe in recipes}
    seconds: dict[str, list[float]] = {f"{name}, {state}": [] for name in embedders for state in ("cold", "held")}
    first, *questions = _asked()[: 2 * _ROUNDS + 1]
    for embedder in embedders.values():
        await embedder.compare(first, passages)
    for cold, held in zip(questions[::2], questions[1::2], strict=True):
        for name, embedder in embedders.items():
            embedder.forget()
            seconds[f"{name}, cold"].append(await _comparison(embedder, cold, passages))
            seconds[f"{name}, held"].append(await _comparison(embedder, held, passages))
    for embedder in embedders.values():
        embedder.close()
    return {f"{told}, p50 ms": milliseconds(taken, 50) for told, taken in seconds.items()}


async def _comparison(embedder: LocalEmbedder, question: str, passages: Sequence[str]) -> float:
    started = time.perf_counter()
    await embedder.compare(question, passages)
    return time.perf_counter() - started


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _asked() -> list[str]:
    """The sample's golden questions."""
    return list(dict.fromkeys(one.question for one in load_questions(SAMPLE / "golden.jsonl")))


def _texts(number: int, length: int) -> list[str]:
    """Stretches of the sample's Markdown documents, as long as a chunk; no two are the same."""
    words = " ".join(path.read_text("utf-8") for path in sorted(DOCUMENTS.rglob("*.md"))).split()
    step = (len(words) - length) // number
    return [" ".join(words[n * step : n * step + length]) for n in range(number)]
