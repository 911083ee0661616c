"""The check of a finished answer against the JSON schema it was asked to fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

import jsonschema_rs
import msgspec

from serving.bounded_schema import size_of
from serving.errors import SchemaError

MOST_VIOLATIONS = 20
_MOST_WORK = 40_000  # for whether an answer fits what a client asked for: under 20 ms at the worst
_MOST_FOR_REASONS = 1_000  # for where it does not: a reason repeats what it is about, and those of all branches
_PATTERNS = jsonschema_rs.RegexOptions(size_limit=1 << 18)


def response_format(schema: Mapping[str, object] | None) -> Mapping[str, object] | None:
    """OpenAI's object that has the engine enforce a schema."""
    if schema is None:
        return None
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def wanted_schema(response_format: Mapping[str, object] | None) -> Mapping[str, object] | None:
    """The JSON schema in OpenAI's `response_format`, None when it asks for none."""
    match response_format:
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return schema
        case _:
            return None


def is_structured(wanted: Mapping[str, object] | None) -> bool:
    """Whether an answer in this format is a value for a program, and not text for a reader."""
    return wanted is not None and wanted.get("type") != "text"


@dataclass(frozen=True, slots=True)
class Violation:
    """What does not fit: `path` is a JSON pointer into the answer, `rule` the schema's keyword that it breaks.

    `message` may quote the answer.
    """

    path: str
    rule: str
    message: str


class OutputCheck:
    """One schema (draft 2020-12), compiled.

    Schemas come from clients: references outside the schema are never fetched, and patterns run in linear time, so
    one with look-around is refused. Raises SchemaError.
    """

    __slots__ = ("_schema", "_validator")

    def __init__(self, schema: Mapping[str, object]) -> None:
        self._schema = schema
        try:
            self._validator = jsonschema_rs.Draft202012Validator(dict(schema), offline=True, pattern_options=_PATTERNS)
        except jsonschema_rs.ValidationError as error:
            raise SchemaError(f"not a JSON schema that can be checked: {error.message}") from error
        except ValueError as error:
            raise SchemaError(f"not a JSON schema that can be checked: {error}") from error

    def violations(self, answer: str) -> tuple[Violation, ...]:
        """Why `answer` does not fit, the first `MOST_VIOLATIONS` reasons; none when it does.

        Where finding them would take long, it is only said that there are some.
        """
        try:
            value = msgspec.json.decode(answer)
            if self._validator.is_valid(value):
                return ()
            size = size_of(self._schema)
            if size is None or size.telling(answer) > _MOST_FOR_REASONS:
                return (Violation("", "", "the answer does not fit the schema; both are too large to say where"),)
            return tuple(map(_violation, islice(self._validator.iter_errors(value), MOST_VIOLATIONS)))
        except msgspec.DecodeError as error:
            return (Violation("", "json", f"the answer is not JSON: {error}"),)
        except (RecursionError, ValueError):
            return (Violation("", "json", "the answer is nested too deeply to be checked"),)


def check_of(response_format: Mapping[str, object] | None, answer: str) -> OutputCheck | None:
    """The check of `answer` by what a client asked for in OpenAI's `response_format`.

    None for plain words, and for a schema that cannot be checked, or not within milliseconds: whether the model can be
    held to that is for the engine to say.
    """
    schema = {"type": "object"} if _is_object(response_format) else wanted_schema(response_format)
    size = None if schema is None else size_of(schema)
    if schema is None or size is None or size.work(answer) > _MOST_WORK:
        return None
    try:
        return OutputCheck(schema)
    except SchemaError:
        return None


def _is_object(response_format: Mapping[str, object] | None) -> bool:
    return response_format is not None and response_format.get("type") == "json_object"


def _violation(error: jsonschema_rs.ValidationError) -> Violation:
    path = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in error.instance_path)
    rule = next((str(step) for step in reversed(error.schema_path) if isinstance(step, str)), "")
    return Violation(path, rule, error.message)
