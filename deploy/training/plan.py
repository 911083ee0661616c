"""How a training goes: what of it is chosen, and which questions and passages are in which of its steps."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from deploy.training.negatives import Example
from deploy.training.shelf import Passage


class Plan(msgspec.Struct, frozen=True):
    """What worked for MiniLM (docs/experiments.md).

    A step has `questions` with an answer each and `negatives` hard passages for each; what is longer than so many
    tokens, special ones included, is cut. The rate climbs for `warm_up` steps and then falls in a line to its `floor`,
    a share of it. Scores are divided by a temperature before the loss; `sentence_share` is how much the cosine of the
    sentence vectors alone counts beside its mean with the likeness of the tokens.
    """

    steps: int = 300
    seed: int = 1
    questions: int = 8
    negatives: int = 3
    question_tokens: int = 64
    passage_tokens: int = 192
    learning_rate: float = 4e-5
    warm_up: int = 20
    floor: float = 0.02
    weight_decay: float = 0.01
    dropout: float = 0.05
    clip: float = 1.0
    temperature: float = 0.04
    sentence_temperature: float = 0.05
    sentence_share: float = 0.3

    def rate(self, step: int) -> float:
        """The share of the learning rate at a step, counted from 0."""
        return min(1.0, (step + 1) / self.warm_up) * max(self.floor, 1 - step / self.steps)


@dataclass(frozen=True, slots=True)
class Batch:
    """Questions, the passages of all of them, and for each question which passage is `due`.

    `left_out` says for each question and passage whether it is an answer, too, and so no negative.
    """

    questions: Sequence[str]
    passages: Sequence[str]
    due: Sequence[int]
    left_out: Sequence[Sequence[bool]]


@dataclass(frozen=True, slots=True)
class Turn:
    """A training set, and how many steps of each round are its."""

    examples: Sequence[Example]
    steps: int


def batches(turns: Sequence[Turn], plan: Plan) -> Iterator[Batch]:
    """One for each step, each of one set. A set's questions all come before any comes again."""
    chance = random.Random(plan.seed)  # noqa: S311 - what is drawn is to be the same again
    round_of = [turn.examples for turn in turns for _ in range(turn.steps)]
    waiting: dict[int, list[Example]] = {}
    for step in range(plan.steps):
        examples = round_of[step % len(round_of)]
        size = min(plan.questions, len(examples))
        left = waiting.setdefault(id(examples), [])
        if len(left) < size:
            left[:] = chance.sample(examples, len(examples))
        yield _batch([left.pop() for _ in range(size)], plan.negatives, chance)


def _batch(asked: Sequence[Example], negatives: int, chance: random.Random) -> Batch:
    passages: list[Passage] = []
    due = []
    for one in asked:
        due.append(len(passages))
        hard = chance.sample(one.hard, min(negatives, len(one.hard)))
        passages += (chance.choice(one.positives), *hard)
    left_out = [
        [place != answer and one.may_be_answered_by(passage) for place, passage in enumerate(passages)]
        for one, answer in zip(asked, due, strict=True)
    ]
    return Batch([one.question for one in asked], [one.text for one in passages], due, left_out)
