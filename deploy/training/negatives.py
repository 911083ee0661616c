"""What a question is held against: passages that the product finds for it, and that do not answer it."""

import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from deploy.beir import Beir, BeirQuestion
from deploy.evaluate_corpus import opened_corpus
from deploy.evaluate_spans import Place, answer_places, holds
from deploy.squad import SpanQuestion, Squad
from deploy.training.sets import TrainingError, TrainingSet
from deploy.training.shelf import Passage, Shelf, open_shelf
from retrieval.index import IndexRecipe
from retrieval.live import Progress

_HARD = 20


@dataclass(frozen=True, slots=True)
class Example:
    """A question, passages that answer it, and `hard` ones: found near the top, and no answers.

    Nothing counts against it that overlaps one of the `places`, ranges of documents where an answer is.
    """

    question: str
    positives: Sequence[Passage]
    hard: Sequence[Passage]
    places: Sequence[Place]

    def may_be_answered_by(self, passage: Passage) -> bool:
        """Whether a passage overlaps an answer, or repeats one word for word."""
        return any(map(partial(_overlap, passage), self.places)) or passage.text in {one.text for one in self.positives}


async def examples_of(training_set: TrainingSet, recipe: IndexRecipe, progress: Progress) -> list[Example]:
    """The questions of a set that have both a passage with the answer and hard ones, in the set's order.

    Chunks and finding are the recipe's. TrainingError when no question is left.
    """
    collection, examples = training_set.collection, []
    async with opened_corpus(collection.documents, recipe, progress) as corpus:
        shelf = await open_shelf(corpus, recipe)
        asking = _judged(collection, shelf) if isinstance(collection, Beir) else await _answered(collection, shelf)
        for number, ask in enumerate(asking):
            progress(number, len(asking), f"finding what is near the questions of {training_set.name}")
            examples.append(await ask())
    kept = [one for one in examples if one.positives and one.hard]
    if not kept:
        raise TrainingError(f"no question of {training_set.name!r} has an answer and, near it, passages without it")
    return kept


def _judged(beir: Beir, shelf: Shelf) -> list[Callable[[], Awaitable[Example]]]:
    return [partial(_by_documents, one, beir, shelf) for one in beir.asked]


async def _by_documents(question: BeirQuestion, beir: Beir, shelf: Shelf) -> Example:
    """Of a relevant document that passage answers which is found first; where none is, the nearest."""
    grades = beir.judged[question.id]
    relevant = [shelf.known[name] for name, grade in grades.items() if grade > 0 and name in shelf.known]
    # By BEIR's rule a question that is a document of its collection does not find itself.
    found = [one for one in await shelf.find(question.text) if shelf.corpus.names[one.document] != question.id]
    positives = []
    for name in relevant:
        first = [one for one in found if one.document == name][:1]
        positives += first or await shelf.nearest(name, question.text)
    return _example(question.text, positives, found, [(name, 0, sys.maxsize) for name in relevant])


async def _answered(squad: Squad, shelf: Shelf) -> list[Callable[[], Awaitable[Example]]]:
    places = await answer_places(squad, shelf.corpus)
    return [partial(_by_answer, one, places[one.id], shelf) for one in squad.questions if one.id in places]


async def _by_answer(question: SpanQuestion, place: Place, shelf: Shelf) -> Example:
    """Passages with half of the answer or more answer."""
    positives = [one for one in await shelf.passages(place[0]) if holds(one, place)]
    return _example(question.text, positives, await shelf.find(question.text), [place])


def _example(question: str, positives: Sequence[Passage], found: Iterable[Passage], places: Sequence[Place]) -> Example:
    asked = Example(question, positives, (), places)
    hard = [one for one in found if not asked.may_be_answered_by(one)]
    return Example(question, positives, hard[:_HARD], places)


def _overlap(passage: Passage, place: Place) -> bool:
    document, start, end = place
    return passage.document == document and min(passage.end, end) > max(passage.start, start)
