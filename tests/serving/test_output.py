"""Finished answers against JSON schemas, and schemas that are refused."""

from collections.abc import Mapping

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
    assert len(check.violations(str([0] * 1000))) == MOST_VIOLATIONS


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
    check = check_of(asked(SCHEMA))
    assert check is not None
    assert (check.violations('{"days": 45}'), len(check.violations("{}"))) == ((), 1)
    whole = check_of({"type": "json_object"})
    assert whole is not None
    assert (whole.violations("{}"), len(whole.violations("[]"))) == ((), 1)
    shared = {"$defs": {"days/n": {"type": "integer"}}, "properties": {"days": {"$ref": "#/$defs/days~1n"}}}
    referring = check_of(asked(shared))
    assert referring is not None
    assert (referring.violations('{"days": 1}'), len(referring.violations('{"days": "1"}'))) == ((), 1)


@pytest.mark.parametrize(
    "response_format", [None, {}, {"type": "text"}, {"type": "json_schema"}, {"type": "json_schema", "json_schema": {}}]
)
def test_words_are_held_against_nothing(response_format: dict[str, object] | None) -> None:
    assert check_of(response_format) is None


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
    ],
)
def test_what_may_take_for_ever_is_not_begun(schema: dict[str, object]) -> None:
    assert check_of(asked(schema)) is None


def test_a_deep_answer_does_not_fit() -> None:
    check = check_of({"type": "json_object"})
    assert check is not None
    for deep in (300, 20_000):
        (violation,) = check.violations("[" * deep + "]" * deep)
        assert violation.rule == "json"


def test_a_deep_schema_is_refused() -> None:
    with pytest.raises(SchemaError):
        OutputCheck(nested(5_000))
