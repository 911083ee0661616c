"""A model version: everything but the passages that decides an answer, frozen in a file and named by its own digest."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, replace
from dataclasses import fields as dataclass_fields
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal

import msgspec
import yaml

from serving.errors import ManifestError
from serving.generator import Sampling

Name = Annotated[str, msgspec.Meta(min_length=1)]
FileName = Annotated[str, msgspec.Meta(pattern=r"^[^/\\]+$")]
Digest = Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}$")]
Label = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
VersionName = Annotated[str, msgspec.Meta(pattern=r"^mdl-[a-z0-9]+(-[a-z0-9]+)*-[0-9a-f]{8}$")]
Tokens = Annotated[int, msgspec.Meta(ge=1)]
Dollars = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=60)]
PassageOrder = Literal["best_first", "best_last", "shared_prefix"]
SHARED_PREFIX: PassageOrder = "shared_prefix"


@dataclass(frozen=True, slots=True)
class Base:
    """The weights: a GGUF file that a package ships, by its digest (`sha256:…`).

    `served_as` begins the engine's name for the bare weights.
    """

    package: Name
    file: FileName
    digest: Digest
    served_as: Name

    @property
    def served_name(self) -> str:
        """The engine's name for the bare weights: who answers to it has exactly these."""
        return f"{self.served_as}-{self.digest.removeprefix('sha256:')[:8]}"


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter, in a directory named by its digest so that it is never overwritten."""

    name: Name
    path: Name
    digest: Digest


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """Format strings for the parts of the prompt; `abstention` is the exact words of "I do not know"."""

    system: Name
    passage: Name
    question: Name
    abstention: Name


@dataclass(frozen=True, slots=True)
class RewritePrompt:
    """Format strings: `turn` may name {role} {text}, `question` {turns} {question}."""

    system: Name
    turn: Name
    question: Name


@dataclass(frozen=True, slots=True)
class Rewriting:
    """How a follow-up becomes the stand-alone question that is searched for.

    "rule" does it without a model; "model" has the served model do it with `prompt`, in at most `tokens` and `seconds`,
    and falls back to the rule.
    """

    kind: Literal["none", "rule", "model"] = "none"
    prompt: RewritePrompt | None = None
    tokens: Tokens = 64
    seconds: Seconds = 4.0


@dataclass(frozen=True, slots=True)
class GroundingRule:
    """A sentence counts as supported by a passage from this share (0 to 1) on."""

    support: Share


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input: Dollars
    output: Dollars


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """One model version. `name` is `mdl-<label>-<8 hex of the digest of all other fields>`; sizes are in tokens.

    A field with a default may be left out, and counts for the name only where it has another value. `system_alone` is
    the system message for who asks without documents. With the `passage_order` "shared_prefix" passages stand so that
    prompts begin like earlier ones.
    """

    name: VersionName
    base: Base
    adapter: Adapter | None
    prompt: PromptTemplate
    sampling: Sampling
    context_tokens: Tokens
    answer_tokens: Tokens
    message_overhead_tokens: Annotated[int, msgspec.Meta(ge=0)]
    grounding: GroundingRule
    output_schema: Mapping[str, object] | None
    price: Price
    rewrite: Rewriting = Rewriting()
    passage_order: PassageOrder = "best_first"
    system_alone: Name | None = None

    @property
    def prompt_alone(self) -> PromptTemplate | None:
        """For a question that is asked without documents; None where this version answers from documents only."""
        if self.system_alone is None:
            return None
        return replace(self.prompt, system=self.system_alone, question="{question}")

    @property
    def served_name(self) -> str:
        """What the engine answers to, and its answers name: the adapter, or the bare weights by their digest.

        Versions that differ in words and sampling alone share it, so that a flip among them needs no other engine.
        """
        return self.name if self.adapter else self.base.served_name


_DEFAULTS: Mapping[str, object] = {
    field.name: field.default for field in dataclass_fields(ModelManifest) if field.default is not MISSING
}
_MAY_BE_LEFT_OUT = {*_DEFAULTS, *(f"rewrite.{field.name}" for field in dataclass_fields(Rewriting))}


def load_manifest(path: Path) -> ModelManifest:
    """Read a version's file (YAML, `<name>.yaml`); raises ManifestError when anything in it does not fit."""
    try:
        fields = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ManifestError(f"model manifest {path.name!r} cannot be read: {type(error).__name__}") from error
    manifest = _build(fields)
    if path.stem != manifest.name:
        raise ManifestError(
            f"model manifest {path.name!r} holds version {manifest.name!r}: its file is named otherwise"
        )
    return manifest


def manifest_name(label: str, fields: Mapping[str, object]) -> str:
    """The name a manifest with these fields (all but `name`) must have; raises ManifestError when they do not fit."""
    return _named(label, _check({**fields, "name": "mdl-unnamed-00000000"}))


def _build(fields: object) -> ModelManifest:
    manifest = _check(fields)
    label = manifest.name.removeprefix("mdl-").rpartition("-")[0]
    expected = _named(label, manifest)
    if manifest.name != expected:
        raise ManifestError(
            f"model manifest {manifest.name!r} does not fit its content: that has the name {expected!r}"
        )
    return manifest


def _check(fields: object) -> ModelManifest:
    try:
        manifest = msgspec.convert(fields, ModelManifest)
    except msgspec.ValidationError as error:
        raise ManifestError(f"a model manifest does not fit: {error}") from error
    if others := sorted(_differences(fields, msgspec.to_builtins(manifest)) - _MAY_BE_LEFT_OUT):
        raise ManifestError(f"a model manifest has unknown or missing fields: {', '.join(others)}")
    if manifest.answer_tokens >= manifest.context_tokens:
        raise ManifestError(
            f"answer_tokens {manifest.answer_tokens} leave no room in context_tokens {manifest.context_tokens}"
        )
    _check_templates("prompt", manifest.prompt)
    _check_templates("system_alone", manifest.prompt_alone or manifest.prompt)
    _check_order(manifest)
    _check_rewriting(manifest.rewrite)
    _check_sampling(manifest.sampling)
    return manifest


def _differences(given: object, built: object, where: str = "") -> set[str]:
    """Fields that only one of the two has; the reader drops unknown ones and fills in what has a default."""
    if not isinstance(given, Mapping) or not isinstance(built, Mapping):
        return set()
    here = {f"{where}{key}" for key in given.keys() ^ built.keys()}
    return here.union(*(_differences(given[key], built[key], f"{where}{key}.") for key in given.keys() & built.keys()))


def _check_templates(field: str, prompt: PromptTemplate | RewritePrompt) -> None:
    for part, template in msgspec.to_builtins(prompt).items():
        try:
            list(Formatter().parse(template))
        except ValueError as error:
            raise ManifestError(f"{field}.{part} of a model manifest is no format string: {error}") from error


def _check_order(manifest: ModelManifest) -> None:
    first = next(iter(Formatter().parse(manifest.prompt.question)), None)
    if manifest.passage_order == SHARED_PREFIX and (first is None or first[1] != "passages"):
        raise ManifestError(
            "passage_order 'shared_prefix' of a model manifest does nothing unless prompt.question names {passages} "
            "before {question}: no two prompts begin alike after a question"
        )


def _check_rewriting(rewrite: Rewriting) -> None:
    if (rewrite.kind == "model") != (rewrite.prompt is not None):
        raise ManifestError("rewrite.prompt of a model manifest is for the kind 'model', which needs one")
    if rewrite.prompt is not None:
        _check_templates("rewrite.prompt", rewrite.prompt)


def _check_sampling(sampling: Sampling) -> None:
    if not (0 <= sampling.temperature <= 2 and 0 < sampling.top_p <= 1 and 0 < sampling.repetition_penalty <= 2):
        raise ManifestError(f"sampling of a model manifest is out of range: {sampling}")


def _named(label: str, manifest: ModelManifest) -> str:
    try:
        msgspec.convert(label, Label)
    except msgspec.ValidationError as error:
        raise ManifestError(f"{label!r} is no label: use lower-case letters, digits and single hyphens") from error
    return f"mdl-{label}-{_digest(manifest)[:8]}"


def _digest(manifest: ModelManifest) -> str:
    fields = msgspec.to_builtins(manifest)
    del fields["name"]
    for field, default in _DEFAULTS.items():
        if getattr(manifest, field) == default:
            del fields[field]
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
