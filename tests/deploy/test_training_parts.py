"""What a training is made of: batches, likeness of tokens, a recipe's changes."""

import shlex
from pathlib import Path

import msgspec
import pytest

from deploy.recipes import changed_recipe
from deploy.training import shelf
from deploy.training.negatives import Example, examples_of
from deploy.training.plan import Batch, Plan, Turn, batches
from deploy.training.sets import load_sets
from deploy.training.shelf import Passage
from deploy.training.trained import build_command, find_trained, recipe_changes
from retrieval.index import Rerank
from retrieval.live import silent
from retrieval.models.likeness import likeness, unit_rows
from tests.deploy.commandline import RECIPE
from tests.deploy.test_training import TOPICS, judged

FEW = Plan(steps=6, questions=2, negatives=2)


def example(name: str, count: int = 5) -> Example:
    hard = [Passage(f"{name}-{n}", 0, 9, f"{name} not {n}") for n in range(count)]
    return Example(name, [Passage(name, 0, 9, f"{name} yes")], hard, [(name, 0, 9)])


def made(examples: list[Example], others: list[Example], plan: Plan = FEW) -> list[Batch]:
    return list(batches([Turn(examples, 2), Turn(others, 1)], plan))


def test_every_third_step_is_of_the_other_set_and_all_questions_come_before_one_comes_again() -> None:
    steps = made([example(name) for name in "abcdefgh"], [example(name) for name in "xyz"])
    assert [step.questions[0] in "xyz" for step in steps] == [False, False, True] * 2
    asked = [question for step in steps for question in step.questions if question in "abcdefgh"]
    assert sorted(asked) == list("abcdefgh")
    for step in steps:
        assert [step.passages[place] for place in step.due] == [f"{question} yes" for question in step.questions]
        assert (len(step.passages), step.due) == (6, [0, 3])
        assert not any(map(any, step.left_out))


def test_the_seed_alone_decides_what_is_drawn() -> None:
    examples, others = [example(name) for name in "abcdefgh"], [example("x")]
    assert made(examples, others) == made(examples, others)
    assert made(examples, others) != made(examples, others, msgspec.structs.replace(FEW, seed=2))


def test_what_may_answer_a_question_is_no_negative_of_it() -> None:
    shared = Passage("a", 4, 20, "the end of the answer")
    first, repeated = example("a"), Passage("copy", 0, 9, "a yes")
    second = Example("b", [Passage("b", 0, 9, "b yes")], [shared, repeated], [("b", 0, 9)])
    (step,) = list(batches([Turn([first, second], 1)], msgspec.structs.replace(FEW, steps=1)))
    row = step.left_out[step.questions.index("a")]
    assert {text for text, out in zip(step.passages, row, strict=True) if out} == {"the end of the answer", "a yes"}
    assert not row[step.due[step.questions.index("a")]], "its own answer takes part"
    assert not any(step.left_out[step.questions.index("b")])
    assert not first.may_be_answered_by(Passage("a", 9, 20, "next to it"))


def test_a_set_with_few_questions_makes_small_batches() -> None:
    steps = made([example("a", count=1)], [example("x", count=0)])
    assert [(step.questions, len(step.passages)) for step in steps[:3]] == [(["a"], 2), (["a"], 2), (["x"], 1)]


def test_the_rate_climbs_and_falls_to_its_floor() -> None:
    plan = Plan()
    assert [plan.rate(step) for step in (0, 9)] == [pytest.approx(1 / 20), pytest.approx(0.5 * (1 - 9 / 300))]
    assert plan.rate(150) == pytest.approx(0.5)
    assert plan.rate(299) == 0.02


def test_likeness_of_tokens_is_that_of_finding() -> None:
    import torch

    from deploy.training.learning import token_likeness

    torch.manual_seed(3)
    asked, told = (torch.nn.functional.normalize(torch.randn(2, size, 8), dim=2) for size in (4, 6))
    own, theirs = torch.ones(2, 4, dtype=torch.bool), torch.ones(2, 6, dtype=torch.bool)
    own[1, 2:], theirs[0, 3:] = False, False
    found = token_likeness(asked, own, told, theirs)
    for question in range(2):
        for passage in range(2):
            rows = [unit_rows(one.numpy()) for one in (asked[question][own[question]], told[passage][theirs[passage]])]
            assert float(found[question, passage]) == pytest.approx(likeness(*rows).mean, abs=1e-5)
    assert float(token_likeness(asked, ~own & own, told, theirs).abs().sum()) == 0.0


async def test_passages_near_a_question_are_hard_unless_they_answer_it(tmp_path: Path) -> None:
    (one,) = load_sets(None, [judged(tmp_path / "toy", "train")], "train", [])
    examples = await examples_of(one, RECIPE, silent)
    assert [example.question for example in examples] == [f"What is known of {topic}?" for topic in TOPICS]
    for topic, example in zip(TOPICS, examples, strict=True):
        (answer,) = example.positives
        assert answer.text.startswith(f"Untitled\nAll about {topic}"), "as it is embedded"
        assert answer.document not in {one.document for one in example.hard}
        assert len(example.hard) == len(TOPICS) - 1


async def test_an_answer_that_is_not_found_is_the_nearest_passage_of_its_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = judged(tmp_path / "toy", "train")
    (folder / "qrels_train.tsv").write_text("q0\td1\t1\nq0\tgone\t1\n")
    (one,) = load_sets(None, [folder], "train", [])
    monkeypatch.setattr(shelf, "_DEPTH", 1)
    (example,) = await examples_of(one, RECIPE, silent)
    assert [f"All about {TOPICS[1]}" in passage.text for passage in example.positives] == [True]
    assert [f"All about {TOPICS[0]}" in passage.text for passage in example.hard] == [True]


def test_a_recipe_with_another_reranker_takes_trained_weights_too() -> None:
    other = Rerank("cross-encoder", 30, margin=0.2, package="some", digest="sha256:1")
    stable = msgspec.structs.replace(RECIPE, reranker=other)
    folder = Path("some where") / "late-12345678"
    changes = recipe_changes(stable, folder, "sha256:12")
    recipe = changed_recipe(stable, changes)
    assert recipe.reranker == Rerank("late", 12)
    assert (recipe.embedder.package, recipe.embedder.path) == ("", str(folder))
    assert shlex.split(build_command("idx", changes))[6::2] == changes
    late = msgspec.structs.replace(RECIPE, reranker=Rerank("late", 8, blend=0.5))
    assert changed_recipe(late, recipe_changes(late, folder, "sha256:12")).reranker == Rerank("late", 12, blend=0.5)


def test_trained_weights_are_found_where_nobody_has_to_choose(tmp_path: Path) -> None:
    assert find_trained(tmp_path) is None
    for name in ("late-12345678", "late-9abcdef0"):
        (tmp_path / name).mkdir()
        (tmp_path / "base-model").mkdir(exist_ok=True)
        (tmp_path / "base-model" / "training.json").write_text("{}")
    (tmp_path / "late-12345678" / "training.json").write_text("{}")
    assert find_trained(tmp_path) == tmp_path / "late-12345678"
    (tmp_path / "late-9abcdef0" / "training.json").write_text("{}")
    assert find_trained(tmp_path) is None


def test_bfloat16_is_for_cpus_that_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from deploy.training.learning import precision

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True, "cpu_name": "any"})
    assert precision() is torch.bfloat16
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False, "cpu_name": "bf16"})
    assert precision() is torch.float32
