"""The sample corpus as the command line uses it: its documents, its callers and their keys."""

import json
import os
from pathlib import Path
from typing import Any

import yaml

from deploy.keys import create_key, read_keys
from deploy.settings import Settings
from retrieval.acl import Principal

SAMPLE = Path(__file__).parent / "sample"
DOCUMENTS = SAMPLE / "documents"


def caller_principals() -> dict[str, Principal]:
    """The sample identities, by name."""
    return {
        name: Principal(one["tenant"], one["subject"], frozenset(one["groups"]), frozenset(one["scopes"]))
        for name, one in _callers().items()
    }


def sample_keys(settings: Settings) -> dict[str, str]:
    """A secret per sample caller, made once and kept in a file that only its owner can read."""
    path = settings.data / "sample-keys.json"
    held: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    ring = read_keys(settings.keys)
    wanted = caller_principals()
    missing = [name for name in wanted if name not in held or ring.find(held[name]) is None]
    for name in missing:
        who = wanted[name]
        held[name] = create_key(
            settings.keys, tenant=who.tenant, subject=who.subject, groups=who.groups, scopes=who.scopes
        )
    if missing:
        _write(path, held)
    return held


def _callers() -> dict[str, Any]:
    rows = yaml.safe_load((SAMPLE / "callers.yaml").read_text("utf-8"))["callers"]
    return {row["name"]: row for row in rows}


def _write(path: Path, held: dict[str, str]) -> None:
    draft = path.with_suffix(".draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(held, file, indent=2)
    draft.replace(path)
