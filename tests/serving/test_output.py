"""Finished answers against JSON schemas, and schemas that are refused."""

import pytest

from serving.errors import SchemaError
from serving.output import MOST_VIOLATIONS, OutputCheck

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
