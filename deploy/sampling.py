"""The sample corpus as the command line uses it: its documents, its callers and their keys."""

import json
from pathlib import Path
from typing import Any

import yaml

from deploy.keys import create_key, read_keys
from deploy.settings import Settings
from retrieval.acl import Principal
from retrieval.durable import OWNER, replace_file

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
        replace_file(path, json.dumps(held, indent=2).encode(), OWNER)
    return held


def _callers() -> dict[str, Any]:
    rows = yaml.safe_load((SAMPLE / "callers.yaml").read_text("utf-8"))["callers"]
    return {row["name"]: row for row in rows}
