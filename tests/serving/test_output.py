"""Finished answers against JSON schemas, and schemas that are refused."""

import json
import time
from collections.abc import Callable, Mapping

import pytest

from serving.errors import SchemaError
from serving.output import MOST_VIOLATIONS, OutputCheck, check_of

SCHEMA = {
    "type": "object",
    "properties": {"days": {"type": "integer"}, "a/b": {"type": "array", "items": {"type": "string"}}},
    "required": ["days"],
}


def test_an_answer_that_fits_has_no_violations() -> None:
    assert OutputCheck(SCHEMA).violations('{"days": 45, "a/b": ["x"]}') == ()


@pytest.mark.parametrize(
    ("answer", "path", "rule"),
    [
        ('{"days": "45"}', "/days", "type"),
        ("{}", "", "required"),
        ('{"days": 1, "a/b": ["x", 2]}', "/a~1b/1", "type"),
        ("45 days", "", "json"),
        ("", "", "json"),
    ],
)
def test_what_does_not_fit_is_named(answer: str, path: str, rule: str) -> None:
    (violation,) = OutputCheck(SCHEMA).violations(answer)
    assert (violation.path, violation.rule) == (path, rule)


def test_violations_are_bounded() -> None:
    check = OutputCheck({"type": "array", "items": {"type": "string"}})
    assert len(check.violations(str([0] * 100))) == MOST_VIOLATIONS


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nothing"},
        {"$ref": "http://127.0.0.1:9/schema"},
        {"$ref": "file:///etc/hostname"},
        {"pattern": "("},
        {"pattern": "(?=a)b"},
    ],
)
def test_schemas_that_cannot_be_checked_safely_are_refused(schema: dict[str, object]) -> None:
    with pytest.raises(SchemaError):
        OutputCheck(schema)


def asked(schema: Mapping[str, object]) -> dict[str, object]:
    """A client's `response_format`."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def test_an_answer_is_held_against_what_its_client_asked_for() -> None:
    check = check_of(asked(SCHEMA), "{}")
    assert check is not None
    assert (check.violations('{"days": 45}'), len(check.violations("{}"))) == ((), 1)
    whole = check_of({"type": "json_object"}, "{}")
    assert whole is not None
    assert (whole.violations("{}"), len(whole.violations("[]"))) == ((), 1)
    shared = {"$defs": {"days/n": {"type": "integer"}}, "properties": {"days": {"$ref": "#/$defs/days~1n"}}}
    referring = check_of(asked(shared), "{}")
    assert referring is not None
    assert (referring.violations('{"days": 1}'), len(referring.violations('{"days": "1"}'))) == ((), 1)


@pytest.mark.parametrize(
    "response_format", [None, {}, {"type": "text"}, {"type": "json_schema"}, {"type": "json_schema", "json_schema": {}}]
)
def test_words_are_held_against_nothing(response_format: dict[str, object] | None) -> None:
    assert check_of(response_format, "{}") is None


def doubling(times: int) -> dict[str, object]:
    """Two to the power of `times` when its references are written out."""
    defined: dict[str, object] = {"a0": {"type": "integer"}}
    for n in range(times):
        defined[f"a{n + 1}"] = {"allOf": [{"$ref": f"#/$defs/a{n}"}, {"$ref": f"#/$defs/a{n}"}]}
    return {"$ref": f"#/$defs/a{times}", "$defs": defined}


def nested(times: int) -> dict[str, object]:
    schema: dict[str, object] = {}
    for _ in range(times):
        schema = {"not": schema}
    return schema


HIDDEN = {"$id": "http://here/", **doubling(64)}  # its references lead into itself, and not to the root


@pytest.mark.parametrize(
    "schema",
    [
        doubling(64),
        {"$defs": {"a64": {}, "hidden": HIDDEN}, "$ref": "#/$defs/hidden"},
        {"$ref": "#"},
        {"anyOf": [{"items": {"$ref": "#/anyOf/0"}}]},
        {"properties": {"$defs": doubling(64)}, "$ref": "#/properties/$defs"},
        {"$ref": "#/$defs/none"},
        {"$defs": {"a": []}, "$ref": "#/$defs/a/0"},
        {"$ref": "#named", "$defs": {"a": {"$anchor": "named"}}},
        {"$dynamicRef": "#a", "$dynamicAnchor": "a"},
        {"type": "nothing"},
        {"enum": list(range(10_000))},
        nested(150),
        nested(5_000),
        {"anyOf": [{"unevaluatedProperties": False}], "unevaluatedProperties": False},
        {"allOf": [{"pattern": rf"^(\w?){{900}}b{{0,{n}}}$"} for n in range(60)]},
        {"patternProperties": {r"(a{1000}){1000}": {}}},
        {"pattern": r"(?x)(a{100} # )\n){100}"},
        {"pattern": r"(a{100}[b[c(]){100}"},
        {"multipleOf": 1e-300},
        {"pattern": "a{99999999999999999999}"},
    ],
)
def test_what_may_take_for_ever_is_not_begun(schema: dict[str, object]) -> None:
    assert check_of(asked(schema), "{}") is None


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        ({"items": {"anyOf": [{"const": n} for n in range(100, 400)]}}, [7] * 2_000),
        ({"items": {"enum": [[0] * 20] * 20}}, [[0] * 19] * 100),
        ({"pattern": r"^(\w?){100}b{0,1}$"}, "a" * 4_000),
    ],
)
def test_a_large_answer_is_not_held_against_a_large_schema(schema: dict[str, object], answer: object) -> None:
    assert check_of(asked(schema), "[]") is not None
    assert check_of(asked(schema), json.dumps(answer)) is None


PATTERNS = (
    r"^(\w?){%d}b{0,1}$",
    r"^(\w*){%d}b?$",
    r"(a|b|ab|ba){%d}b?x?$",
    r"(.*a){%d}.?$",
    r"[ab]*a[ab]{%d}[^ab]",
    r"(\w+\W?){%d}z",
    r"^(\p{L}?){%d}b{0,1}$",
)
WORST: dict[str, Callable[[int], dict[str, object]]] = {
    "any": lambda n: {"items": {"anyOf": [{"const": -one - 1} for one in range(n)]}},
    "any at the top": lambda n: {"anyOf": [{"const": -one - 1} for one in range(n)]},
    "all": lambda n: {"allOf": [{"type": "object"}] * n},
    "all of the parts": lambda n: {"allOf": [{"items": {"type": "string"}}] * n},
    "one": lambda n: {"items": {"oneOf": [{"properties": {"a": {"const": str(one)}}} for one in range(n)]}},
    "enum": lambda n: {"items": {"enum": [[0] * 8 + [one + 1] for one in range(n)]}},
    "multiple": lambda n: {"items": {"allOf": [{"multipleOf": 1e-9 * (one + 1)} for one in range(n)]}},
    "contains": lambda n: {"allOf": [{"contains": {"const": -one - 1}} for one in range(n)]},
    "names": lambda n: {"propertyNames": {"anyOf": [{"const": f"x{one}"} for one in range(n)]}},
}
ANSWERS: tuple[object, ...] = (
    [7] * 20,
    [7] * 2_000,
    [1e300] * 100,
    "ab" * 20,
    "a" * 4_000,
    "ab" * 2_000,
    ["ab" * 10] * 50,
    [{"a": "y"}] * 400,
    [[0] * 9] * 200,
    {"a" * one: 1 for one in range(60)},
)


def of_pattern(pattern: str) -> list[Callable[[int], dict[str, object]]]:
    return [
        lambda n: {"pattern": pattern % n},
        lambda n: {"items": {"pattern": pattern % n}},
        lambda n: {"patternProperties": {pattern % n: {}}},
    ]


@pytest.mark.parametrize("schema_of", [*WORST.values(), *(one for pattern in PATTERNS for one in of_pattern(pattern))])
def test_the_most_that_is_accepted_is_checked_in_milliseconds(schema_of: Callable[[int], dict[str, object]]) -> None:
    for answer in map(json.dumps, ANSWERS):
        schemas = (asked(schema_of(n)) for n in (1, 3, 10, 30, 60, 90, 150, 300, 450))
        accepted = [schema for schema in schemas if check_of(schema, answer) is not None]
        assert not accepted or min(seconds(accepted[-1], answer) for _ in range(3)) < 0.02


def seconds(response_format: Mapping[str, object], answer: str) -> float:
    began = time.thread_time()
    check = check_of(response_format, answer)
    assert check is not None
    check.violations(answer)
    return time.thread_time() - began


def test_what_is_too_large_to_say_is_still_seen_not_to_fit() -> None:
    answer = json.dumps([7] * 100)
    check = check_of(asked({"items": {"anyOf": [{"const": one} for one in range(100, 200)]}}), answer)
    assert check is not None
    assert len(check.violations(answer)) == 1


def test_a_deep_answer_does_not_fit() -> None:
    check = check_of({"type": "json_object"}, "{}")
    assert check is not None
    for deep in (300, 20_000):
        (violation,) = check.violations("[" * deep + "]" * deep)
        assert violation.rule == "json"


def test_a_deep_schema_is_refused() -> None:
    with pytest.raises(SchemaError):
        OutputCheck(nested(5_000))
