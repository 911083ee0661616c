"""What an index version's confidence is worth: which of it is enough, and the curve that this was chosen on."""

import math
from datetime import datetime
from typing import Annotated, Literal

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Count = Annotated[int, msgspec.Meta(ge=0)]
_FLAT = 700.0  # beyond it a double's exponential overflows


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a threshold is chosen: "even" weighs both errors alike, "bound" keeps false answers within `false_answers`.

    A bound holds on average over questions like those it was chosen on: one more false answer than was seen counts.
    """

    kind: Literal["even", "bound"] = "even"
    false_answers: Share = 1.0


class Logistic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Platt's mapping of a confidence to the probability that the answer is there; it never falls."""

    slope: Annotated[float, msgspec.Meta(ge=0.0)]
    intercept: float

    def __call__(self, confidence: float) -> float:
        """The probability, were half of all questions answerable."""
        return 1 / (1 + math.exp(min(_FLAT, -self.slope * confidence - self.intercept)))


class Errors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`false_answers` is the share of unanswerable questions that pass, `false_abstentions` of answerable that do not.

    `brier` is the mean squared error of the probability, both kinds weighing the same; 0.25 is knowing nothing.
    """

    false_answers: Share
    false_abstentions: Share
    brier: Share


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Both error rates if this were the threshold."""

    threshold: Share
    false_answers: Share
    false_abstentions: Share


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fitted for the version `index` and no other; `questions` is a digest of those it was fitted to.

    `categories` have thresholds of their own. `withheld` of the unanswerable samples are answerable questions asked
    without the documents that answer them; `empty` ones found nothing and count in no rate. `auc` is the share of pairs
    of an answerable and an unanswerable sample that confidence orders rightly. `held_out` are errors on questions that
    took no part in choosing the threshold that they were tested by.
    """

    index: str
    questions: str
    fitted: datetime
    rule: Rule
    threshold: Share
    categories: dict[str, Share]
    probability: Logistic
    answerable: Count
    unanswerable: Count
    withheld: Count
    empty: Count
    auc: Share
    held_out: Errors
    curve: tuple[Point, ...]

    def threshold_of(self, category: str | None) -> float:
        """The threshold where the best passage is of this category."""
        return self.threshold if category is None else self.categories.get(category, self.threshold)
