"""The scripted generator beyond its contract: rules, errors in the script, its memory, the stand-in's answers."""

import json
from pathlib import Path

import pytest

from deploy.pinboard import read_pinboard
from serving.errors import EngineAborted, EngineRefused, EngineUnavailable
from serving.generator import Finish, GenerationRequest, Message, Sampling, Text
from serving.manifest import load_manifest
from serving.output import OutputCheck
from serving.scripted import Rule, Script, ScriptedGenerator, least_instance, pieces_of
from serving.scripted_server import answer_pieces


def asking(question: str, response_format: dict[str, object] | None = None) -> GenerationRequest:
    return GenerationRequest("any", (Message("user", question),), 50, Sampling(), response_format, None, "r")


RULES = (
    Rule("refund", Script(pieces_of("45 days [1]."))),
    Rule("crash", Script(("Well", EngineAborted("scripted")))),
    Rule("busy", Script(refused=EngineUnavailable("scripted", retry_after=3))),
)


async def test_the_first_rule_that_fits_answers() -> None:
    generator = ScriptedGenerator(RULES)
    async with generator.generate(asking("What about REFUNDS?")) as stream:
        pieces = [piece async for piece in stream]
    assert pieces == [Text("45"), Text(" days"), Text(" [1]."), Finish("stop", 3, 3, 0)]
    (exchange,) = generator.exchanges
    assert (exchange.given, exchange.left_early) == (["45", " days", " [1]."], False)


async def test_errors_come_where_the_script_says() -> None:
    generator = ScriptedGenerator(RULES)
    async with generator.generate(asking("crash")) as stream:
        assert await anext(stream) == Text("Well")
        with pytest.raises(EngineAborted):
            await anext(stream)
    for question, error in (("busy", EngineUnavailable), ("unheard of", EngineRefused)):
        with pytest.raises(error):
            async with generator.generate(asking(question)):
                pytest.fail("accepted")


async def test_delays_go_through_the_given_sleep() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    generator = ScriptedGenerator(RULES, delay=5.0, sleep=sleep)
    async with generator.generate(asking("refund")) as stream:
        await anext(stream)
    assert slept == [5.0]
    assert generator.exchanges[0].left_early


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string"}, "b": {"enum": [3, 4]}}, "required": ["a", "b"]},
        {"type": "array", "items": {"type": "number"}, "minItems": 2},
        {"const": "x"},
        {"type": "null"},
        {},
    ],
)
def test_the_least_instance_fits_its_schema(schema: dict[str, object]) -> None:
    assert OutputCheck(schema).violations(json.dumps(least_instance(schema))) == ()


def test_the_stand_in_repeats_the_first_passage_with_a_marker() -> None:
    prompt = "[1] Refunds\nWithin 45 days.\n\n[2] Other\nNothing.\n\nQuestion: how long?"
    pieces = answer_pieces({"messages": [{"content": prompt}]}, 5)
    assert "".join(pieces) == "Refunds Within 45 days [1]."
    assert len(pieces) == 5


def test_and_finds_it_in_the_pinned_prompt_too() -> None:
    """Else its answers are no quotes, and what they cost to check is not what a model's do."""
    board = read_pinboard(Path(__file__).parents[2] / "deploy" / "releases.yaml")
    prompt = load_manifest(board.model_manifest()).prompt
    shown = prompt.passage.format(
        marker=1, title="", source="", heading="", page="", text="Within 45 days of purchase."
    )
    asked = prompt.question.format(question="How long?", passages=shown)
    assert "".join(answer_pieces({"messages": [{"content": asked}]}, 4)) == "Within 45 days [1]."
