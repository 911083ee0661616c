"""Fitting a threshold: what it promises on questions it has not seen, and what it refuses to be fitted to."""

import random
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from retrieval.calibration import Calibration, Rule
from retrieval.errors import CalibrationError
from retrieval.fitting import LEAST, Sample, fit
from tests.retrieval.samples import AT, drawn

EVEN = Rule()


def fitted(samples: Sequence[Sample], rule: Rule = EVEN) -> Calibration:
    return fit(samples, rule, index="idx-a-00000000", at=AT)


def rates(calibration: Calibration, samples: Sequence[Sample]) -> tuple[float, float]:
    """False answers and false abstentions on samples, worked out here."""
    passing = [one.confidence >= calibration.threshold_of(one.category) for one in samples]
    no = [passes for passes, one in zip(passing, samples, strict=True) if not one.answerable]
    yes = [passes for passes, one in zip(passing, samples, strict=True) if one.answerable]
    return sum(no) / len(no), 1 - sum(yes) / len(yes)


def test_it_is_what_it_is_fitted_to_in_any_order_and_can_be_kept() -> None:
    samples = drawn(60)
    made = fitted(samples)
    shuffled = random.Random(1).sample(samples, len(samples))
    assert fitted(shuffled) == made
    assert msgspec.json.decode(msgspec.json.encode(made), type=Calibration) == made
    assert (made.index, made.fitted, made.rule) == ("idx-a-00000000", AT, EVEN)
    assert (made.answerable, made.unanswerable) == (60, 60)
    assert fitted([replace(one, question=f"{one.question}!") for one in samples]).questions != made.questions


def test_even_is_between_the_kinds_and_what_is_held_out_comes_true() -> None:
    made = fitted(drawn(400))
    assert made.threshold == pytest.approx(0.55, abs=0.02), "the middle of two like bells"
    answers, abstentions = rates(made, drawn(4000, seed=9))
    assert made.held_out.false_answers == pytest.approx(answers, abs=0.03)
    assert made.held_out.false_abstentions == pytest.approx(abstentions, abs=0.03)
    assert made.auc == pytest.approx(0.983, abs=0.01), "of two bells three deviations apart"


@pytest.mark.parametrize("bound", [0.02, 0.1, 0.3])
def test_a_bound_holds_on_average_for_questions_it_has_not_seen(bound: float) -> None:
    seen = [
        rates(fitted(drawn(60, low=0.6, seed=n), Rule("bound", bound)), drawn(500, low=0.6, seed=n + 99))
        for n in range(25)
    ]
    mean = sum(answers for answers, _ in seen) / len(seen)
    assert mean <= bound * 1.15
    assert mean >= bound * 0.5, "and it is not bought by answering nothing"


def test_a_bound_that_the_questions_cannot_show_is_refused() -> None:
    with pytest.raises(CalibrationError, match=r"0\.01 on false answers takes 99"):
        fitted(drawn(60), Rule("bound", 0.01))
    sure = [Sample(f"sure {n}", 1.0, None, answerable=False) for n in range(60)]
    with pytest.raises(CalibrationError, match="full confidence"):
        fitted([*drawn(60), *sure], Rule("bound", 0.1))


@pytest.mark.parametrize("kind", [True, False])
def test_too_few_questions_of_either_kind_are_refused(kind: bool) -> None:
    enough = drawn(LEAST)
    fitted(enough)
    few = [one for one in enough if one.answerable is not kind or one.question != enough[0].question]
    with pytest.raises(CalibrationError, match=rf"{LEAST - 1} {'answerable' if kind else 'unanswerable'} questions"):
        fitted(few)
    repeated = [*few, *(replace(one, confidence=0.5) for one in few)]
    with pytest.raises(CalibrationError, match="questions"):
        fitted(repeated)


def test_the_same_question_never_fits_and_tests_a_threshold() -> None:
    """A hundred copies of one question would else vouch for themselves, and held-out errors be too good."""
    rng = random.Random(3)
    noise = [(f"q{n}", rng.random(), rng.random()) for n in range(30)]
    samples = [
        Sample(name, value, None, answerable)
        for name, yes, no in noise
        for value, answerable in ((yes, True), (no, False))
        for _ in range(10)
    ]
    held_out = fitted(samples).held_out
    assert held_out.false_answers + held_out.false_abstentions > 0.9, "noise has nothing to say"


def test_a_category_gets_its_own_threshold_once_enough_is_known_of_it() -> None:
    plain, sure = drawn(200, category="policy"), drawn(60, high=0.9, low=0.65, category="prices", seed=5)
    few = drawn(15, high=0.9, low=0.65, category="rare", seed=6)
    made = fitted([*plain, *sure, *few])
    assert made.categories.keys() == {"policy", "prices"}
    own = fitted(sure).threshold
    assert made.categories["prices"] == pytest.approx(made.threshold + (own - made.threshold) * 60 / 100, abs=1e-4)
    assert own > made.threshold
    assert made.threshold_of("rare") == made.threshold_of(None) == made.threshold
    fresh = drawn(2000, high=0.9, low=0.65, category="prices", seed=7)
    alone = msgspec.structs.replace(made, categories={})
    assert sum(rates(made, fresh)) < sum(rates(alone, fresh))


def test_under_a_bound_a_category_is_only_ever_stricter() -> None:
    loose, strict = (
        drawn(100, low=0.1, high=0.5, category="easy"),
        drawn(100, low=0.6, high=0.9, category="hard", seed=2),
    )
    made = fitted([*loose, *strict], Rule("bound", 0.1))
    assert made.categories["easy"] == made.threshold < made.categories["hard"]


def test_the_curve_falls_and_rises_from_end_to_end() -> None:
    made = fitted(drawn(60))
    first, last = made.curve[0], made.curve[-1]
    assert (first.threshold, first.false_answers, first.false_abstentions) == (0.0, 1.0, 0.0)
    assert (last.threshold, last.false_answers) == (1.0, 0.0)
    assert last.false_abstentions == pytest.approx(1.0, abs=0.02)
    assert sorted(made.curve, key=lambda one: (-one.false_answers, one.false_abstentions)) == list(made.curve)
    assert all(point.threshold == n / 100 for n, point in enumerate(made.curve))


def test_the_probability_rises_is_calibrated_and_stays_finite() -> None:
    made = fitted(drawn(400)).probability
    assert [made(x / 10) for x in range(-20, 30)] == sorted(made(x / 10) for x in range(-20, 30))
    assert made(0.55) == pytest.approx(0.5, abs=0.06)
    fresh = [one for one in drawn(6000, seed=11) if 0.6 <= made(one.confidence) < 0.8]
    assert sum(one.answerable for one in fresh) / len(fresh) == pytest.approx(0.7, abs=0.08)
    apart = fitted(drawn(40, high=0.9, low=0.1, spread=0.01))
    assert apart.probability(0.9) == pytest.approx(41 / 42, abs=0.005), "one in 42 may yet be otherwise"
    assert (apart.held_out.false_answers, apart.held_out.false_abstentions) == (0, 0)


def test_how_many_questions_of_either_kind_there_are_does_not_move_the_probability() -> None:
    many, few = drawn(400), drawn(80, seed=4)
    uneven = fitted([*(one for one in many if one.answerable), *(one for one in few if not one.answerable)])
    assert uneven.probability(0.55) == pytest.approx(0.5, abs=0.08)


def test_a_confidence_that_points_the_wrong_way_says_nothing() -> None:
    wrong = fitted(drawn(60, high=0.4, low=0.7))
    assert wrong.auc < 0.1
    assert wrong.probability(0.0) == wrong.probability(1.0) == 0.5
    assert wrong.held_out.brier == 0.25


@pytest.mark.parametrize(
    "changed",
    [
        {"threshold": 1.5},
        {"auc": -0.1},
        {"answerable": -1},
        {"probability": {"slope": -1.0, "intercept": 0.0}},
        {"rule": {"kind": "magic"}},
        {"surprise": 1},
    ],
)
def test_a_calibration_that_cannot_be_is_not_read(changed: dict[str, object]) -> None:
    fields = msgspec.to_builtins(fitted(drawn(20)))
    msgspec.convert(fields, Calibration)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**fields, **changed}, Calibration)
