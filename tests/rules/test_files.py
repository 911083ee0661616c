"""What no tracked file names: a machine it was made on, or a host it was fetched from."""

import re
import subprocess
from pathlib import Path

# Written in pieces, so that this file does not hold what it looks for.
MACHINE = "|".join(rf"(?<![\w.-])/{name}/" for name in ("wo" + "rk", "ro" + "ot", "opt/" + "wheels", r"ho" + r"me/\w+"))
HOSTS = "|".join(
    re.escape(name)
    for name in (
        "py" + "pi.org",
        "python" + "hosted.org",
        "hugging" + "face.co",
        "download.py" + "torch.org",
        "ghcr" + ".io",
        "docker" + ".io",
        "quay" + ".io",
        "nvcr" + ".io",
    )
)


def tracked(root: Path) -> list[Path]:
    """Files of the repository, and those about to become so."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := root / name).is_file()]


def test_no_file_names_a_machine_or_a_registry(root: Path) -> None:
    files = tracked(root)
    assert root / "pyproject.toml" in files
    looked_for = re.compile(f"{MACHINE}|{HOSTS}")
    found = []
    for path in files:
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{path.relative_to(root)}: {match.group()}" for match in looked_for.finditer(text)]
    assert found == []


def test_no_file_is_bytes_of_a_build(root: Path) -> None:
    built = re.compile(r"(\.pyc|\.so|\.whl|\.safetensors|\.gguf|\.db|\.egg-info/.*)$")
    assert not [path for path in tracked(root) if built.search(path.as_posix())]
