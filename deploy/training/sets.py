"""What is trained on: judged collections, and articles with questions that they answer."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.beir import ALL, Beir, load_beir
from deploy.squad import Squad, load_squad
from retrieval.errors import RetrievalError

TRAIN = "train"
_JUDGED, _ARTICLES = "scifact", "covid_qa"
_UNNAMED = ("test", ALL)  # the splits that a file of judgements without a name belongs to


class TrainingError(RetrievalError):
    """Sets that nothing can be learnt from; the text says which, and what they lack."""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """A collection, and the digests of the files that it was read from, by name."""

    collection: Beir | Squad
    split: str
    files: Mapping[str, str]

    @property
    def name(self) -> str:
        """What the collection is called."""
        return self.collection.name


def load_sets(data: Path | None, beir: Sequence[Path], split: str, squad: Sequence[Path]) -> list[TrainingSet]:
    """The training sets in a folder of collections, then those that are named themselves, of which `beir` by a split.

    Errors: BeirError when one cannot be read, TrainingError when there is none, or one asks nothing.
    """
    judged, articles = _of(data, _JUDGED), _of(data, _ARTICLES)
    sets = [
        *(_judged(folder, TRAIN) for folder in judged),
        *(_judged(folder, split) for folder in beir),
        *(_answered(path) for path in (*articles, *squad)),
    ]
    if not sets:
        place = f"{data.name!r} has neither {_JUDGED!r} nor {_ARTICLES!r}" if data else "no set was named"
        raise TrainingError(f"there is nothing to train on, {place}: name a set by --beir or --squad")
    return sets


def _of(data: Path | None, name: str) -> list[Path]:
    return [data / name] if data is not None and (data / name).is_dir() else []


def _judged(folder: Path, split: str) -> TrainingSet:
    beir = load_beir(folder, split)
    if not beir.asked:
        raise TrainingError(f"no question of {beir.name!r}, {split!r} has a relevant document: name another --split")
    named = {path.relative_to(folder).as_posix(): _digest(path) for path in _files(folder, split)}
    return TrainingSet(beir, split, named)


def _answered(path: Path) -> TrainingSet:
    squad = load_squad(path)
    if not squad.questions:
        raise TrainingError(f"{squad.name!r} has no question with an answer")
    files: Iterable[Path] = path.glob("*.json") if path.is_dir() else (path,)
    return TrainingSet(squad, ALL, {file.name: _digest(file) for file in files})


def _files(folder: Path, split: str) -> Iterator[Path]:
    """The files that a split is read from."""
    yield from (folder / "corpus.jsonl", folder / "queries.jsonl")
    named = "*" if split == ALL else split
    for pattern in ("qrels.tsv",) * (split in _UNNAMED) + (f"qrels_{named}.tsv", f"qrels/{named}.tsv"):
        yield from sorted(folder.glob(pattern))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
