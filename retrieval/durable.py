"""Files that are there after a power failure as they were left: replaced whole, or not at all."""

import os
from pathlib import Path
from typing import Final

ANYBODY: Final = 0o666  # as far as the process's mask lets
OWNER: Final = 0o600


def replace_file(path: Path, content: bytes, mode: int = ANYBODY) -> None:
    """Readers see the old content or the new one, which is durable when this returns.

    For one writer at a time. OSError leaves what was there.
    """
    draft = path.with_name(f"{path.name}.draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """What was made, renamed or removed in it is so after a power failure too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
