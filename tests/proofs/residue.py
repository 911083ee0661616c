"""The proofs' own look into files, which knows nothing of what is in them."""

from pathlib import Path


def residue(folder: Path, words: set[str]) -> list[str]:
    """The files in which one of the words can still be read."""
    needles = [word.encode() for word in words]
    held = ((path, path.read_bytes()) for path in folder.rglob("*") if path.is_file())
    return [str(path.relative_to(folder)) for path, content in held if any(needle in content for needle in needles)]
