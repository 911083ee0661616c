"""Follow-ups as they are searched for, held against what people made of them: token F1, per set of conversations."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

import msgspec

from deploy.evaluate_engine import AT_ONCE, asked_engine
from deploy.local import Stack
from deploy.measured import Measured
from deploy.ranking import difference
from deploy.settings import Settings
from retrieval.errors import RetrievalError
from serving.followups.phrases import words_of
from serving.generator import Message
from serving.manifest import ModelManifest
from serving.rewrite import Rewriter, Rewritten, rewrite_by_rule
from serving.tokens import load_token_counter
from serving.weights import directory_name

FOLDERS = ("cast_rewrite", "mtrag_rewrite")
FILE = "rewrite_pairs.jsonl"
INFORMED_BY = "cast2019, conversations made up for the tests; words of the training messages of banking77 and covid_qa"
"""What the rule was made on; on the other sets nothing was."""
AS_ASKED, CONCATENATED = "as asked", "history concatenated"
BY_RULE, BY_MODEL = "rewritten by the rule", "rewritten by the model, else by the rule"
_SECONDS = 60.0  # for one rewriting: what it makes of a question is measured, not how busy the machine is
Progress = Callable[[int, int, str], None]


class PairsError(RetrievalError):
    """Nothing to rewrite: a file of questions that cannot be read, or a model version that rewrites none."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A follow-up with the turns before it, and the stand-alone question that a person made of it."""

    id: str
    set: str
    question: str
    history: tuple[Message, ...]
    human: str


@dataclass(frozen=True, slots=True)
class Told:
    """What one way of rewriting made of a pair's question, and how near it comes to the person's."""

    pair: Pair
    question: str
    f1: float


def load_pairs(data: Path) -> list[Pair]:
    """The follow-ups of every set that is in the folder. Errors: PairsError."""
    pairs = [pair for folder in FOLDERS if (data / folder).is_dir() for pair in _read(data / folder / FILE)]
    if not pairs:
        raise PairsError(f"{data.name!r} has none of {', '.join(f'{folder}/{FILE}' for folder in FOLDERS)}")
    followups = [pair for pair in pairs if pair.history]
    if not followups:
        raise PairsError(f"{data.name!r} has no follow-ups: no question has a history")
    return followups


def require_rewriting(manifest: ModelManifest) -> ModelManifest:
    """A version whose model rewrites; PairsError for one whose rule does, or nothing."""
    if manifest.rewrite.kind != "model":
        raise PairsError(
            f"model version {manifest.name!r} does not rewrite by its model: its rewrite.kind is "
            f"{manifest.rewrite.kind!r}, name one where it is 'model'"
        )
    return manifest


def token_f1(made: str, human: str) -> float:
    """Of words, case aside, each as often as it is there; 0 to 1."""
    ours, theirs = (Counter(word.base for word in words_of(text)) for text in (made, human))
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total()) if ours or theirs else 1.0


def measure_rewriting(data: Path) -> Measured:
    """What needs no model, on all follow-ups there are."""
    return Measured(_figures(_without_model(load_pairs(data))))


def rewrite_pairs(
    settings: Settings, pairs: Sequence[Pair], manifest: ModelManifest | None, progress: Progress
) -> tuple[Mapping[str, Mapping[str, Any]], list[dict[str, Any]]]:
    """Figures, and a row for each question; of a model version too, on an engine started for it, if one is given."""
    told = _without_model(pairs)
    ended: dict[str, dict[str, Any]] = {}
    if manifest is not None:
        with Stack(settings) as stack:
            stack.start_engine()
            made = asyncio.run(_by_model(settings, manifest, pairs, progress))
        told[BY_MODEL] = [_told(pair, one.rewritten.question) for pair, one in zip(pairs, made, strict=True)]
        ended = {f"rewriting by {manifest.name}": _ended(made)}
    return {**_figures(told), **ended}, [_row(held) for held in zip(*told.values(), strict=True)]


def spread(pairs: Sequence[Pair], number: int) -> list[Pair]:
    """At most so many of each set, at even distances."""
    sets: dict[str, list[Pair]] = {}
    for pair in pairs:
        sets.setdefault(pair.set, []).append(pair)
    return [held[place * len(held) // number] for held in sets.values() for place in range(min(number, len(held)))]


def _read(path: Path) -> list[Pair]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PairsError(f"{path.name!r} of {path.parent.name!r} cannot be read: {error}") from error
    return [_pair(line, number, path) for number, line in enumerate(lines, start=1) if line.strip()]


def _pair(line: str, number: int, path: Path) -> Pair:
    """CAsT's rows have `history` and `utterance`, MTRAG's all turns of the user with the last one again."""
    try:
        row = json.loads(line)
        turns = row["history"] if "history" in row else msgspec.convert(row["all_user_turns"], list[str])[:-1]
        question = row["utterance"] if "utterance" in row else row["last_turn"]
        history = tuple(Message("user", turn) for turn in msgspec.convert(turns, list[str]))
        return Pair(str(row["_id"]), str(row.get("set", path.parent.name)), str(question), history, str(row["rewrite"]))
    except (json.JSONDecodeError, KeyError, TypeError, msgspec.ValidationError) as error:
        told = "a JSON object with _id, rewrite, and history and utterance, or all_user_turns and last_turn"
        raise PairsError(f"line {number} of {path.name!r} is not {told}: {error}") from error


def _without_model(pairs: Sequence[Pair]) -> dict[str, list[Told]]:
    """The question as it was asked, all turns in one, and what the rule makes of it."""
    return {
        AS_ASKED: [_told(pair, pair.question) for pair in pairs],
        CONCATENATED: [_told(pair, _concatenated(pair)) for pair in pairs],
        BY_RULE: [_told(pair, rewrite_by_rule(pair.question, pair.history).question) for pair in pairs],
    }


def _concatenated(pair: Pair) -> str:
    return " ".join([*(turn.content for turn in pair.history), pair.question])


def _told(pair: Pair, question: str) -> Told:
    return Told(pair, question, token_f1(question, pair.human))


@dataclass(frozen=True, slots=True)
class _Made:
    rewritten: Rewritten
    seconds: float


async def _by_model(
    settings: Settings, manifest: ModelManifest, pairs: Sequence[Pair], progress: Progress
) -> list[_Made]:
    patient = replace(manifest, rewrite=replace(manifest.rewrite, seconds=_SECONDS))
    count = load_token_counter(settings.models / directory_name(manifest.base.digest))
    async with asked_engine(settings, patient.served_name, _SECONDS) as generator:
        rewriter, made = Rewriter(patient, generator, count), []
        for start in range(0, len(pairs), AT_ONCE):
            made += await asyncio.gather(*(_make(rewriter, pair) for pair in pairs[start : start + AT_ONCE]))
            progress(len(made), len(pairs), "rewriting")
    return made


async def _make(rewriter: Rewriter, pair: Pair) -> _Made:
    started = time.perf_counter()
    rewritten = await rewriter.rewrite(pair.question, pair.history, cache_salt=None, request_id=pair.id)
    return _Made(rewritten, time.perf_counter() - started)


def _figures(told: Mapping[str, Sequence[Told]]) -> dict[str, dict[str, Any]]:
    """A section a set: the mean of each way, how many questions the rule changed, and how sure its gain is."""
    names = dict.fromkeys(one.pair.set for one in told[AS_ASKED])
    return {f"rewriting {name}, token F1": _of_set(name, told) for name in names}


def _of_set(name: str, told: Mapping[str, Sequence[Told]]) -> dict[str, Any]:
    held = {how: [one for one in made if one.pair.set == name] for how, made in told.items()}
    asked = [one.f1 for one in held[AS_ASKED]]
    figures: dict[str, Any] = {"follow-ups": len(asked)}
    for how, made in held.items():
        figures[how] = round(fmean(one.f1 for one in made), 4)
        if how not in (AS_ASKED, CONCATENATED):
            gain = difference([one.f1 for one in made], asked)
            figures[f"{how}: gain, 95 %"] = f"{gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
            figures[f"{how}: changed"] = sum(one.question != one.pair.question for one in made)
    return {**figures, "informed by": INFORMED_BY}


def _ended(made: Sequence[_Made]) -> dict[str, Any]:
    """How often the model's own words were taken, why not, and what it took."""
    ends = Counter(one.rewritten.failure or "taken" for one in made)
    return {**dict(ends.most_common()), "seconds, median": round(median(one.seconds for one in made), 4)}


def _row(held: Sequence[Told]) -> dict[str, Any]:
    pair = held[0].pair
    ways = zip((AS_ASKED, CONCATENATED, BY_RULE, BY_MODEL), held, strict=False)
    made = {how: {"question": one.question, "f1": round(one.f1, 4)} for how, one in ways}
    return {
        "id": pair.id,
        "set": pair.set,
        "history": [turn.content for turn in pair.history],
        "human": pair.human,
        **made,
    }
