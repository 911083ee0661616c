"""API keys: created here, stored hashed in a YAML file, looked up by the gateway."""

import fcntl
import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import yaml

from retrieval.acl import invalid_grants, is_tenant
from retrieval.durable import OWNER, replace_file

SCOPES = frozenset(
    {
        "ask",
        "search",
        "feedback",
        "documents:write",
        "review",
        "release:read",
        "release:write",
        "release:override",
        "metrics",
        "admin",
        "act-as",
    }
)
EVERY_GROUP = "*"
_PREFIX = "tp_"
_SHOWN = 10
_LASTS = re.compile(r"([1-9][0-9]{0,4})([dh])")


class KeyFileError(Exception):
    """The key file cannot be read or written; its text says why."""


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key as stored: `digest` is the SHA-256 of a 256-bit secret, `prefix` is what people recognise it by.

    An app that asks for others reaches its own groups and the `allowed_groups`, and with `by_name` what is shared with
    its user by name.
    """

    prefix: str
    digest: str
    tenant: str
    subject: str
    groups: list[str]
    scopes: list[str]
    created: datetime
    name: str | None = None
    expires: datetime | None = None
    allowed_groups: list[str] = []  # msgspec gives each its own
    by_name: bool = False

    def expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires is not None and self.expires <= now

    def reaches(self, group: str) -> bool:
        """Whether an app with this key may ask as a member of the group, for somebody who is one."""
        return group in self.groups or group in self.allowed_groups or EVERY_GROUP in self.allowed_groups


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: list[ApiKey]


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys of a file, by digest."""

    keys: dict[str, ApiKey]

    def find(self, secret: str) -> ApiKey | None:
        """The key for a presented secret. Secrets are 256 random bits, so a plain digest look-up is enough."""
        return self.keys.get(_digest(secret))


def read_keys(path: Path) -> KeyRing:
    """Read the key file; a missing file holds no keys."""
    try:
        held = msgspec.convert(yaml.safe_load(path.read_text("utf-8")) or {"keys": []}, _File)
    except FileNotFoundError:
        return KeyRing({})
    except (OSError, yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise KeyFileError(f"key file {path.name!r} is not valid: {error}") from error
    return KeyRing({key.digest: key for key in held.keys})


def create_key(
    path: Path,
    *,
    tenant: str,
    subject: str,
    groups: Iterable[str],
    scopes: Iterable[str],
    name: str | None = None,
    expires: datetime | None = None,
    allowed_groups: Iterable[str] = (),
    by_name: bool = False,
) -> str:
    """Add a key and return its secret, which is stored nowhere."""
    wanted, member, allowed = sorted(set(scopes)), sorted(set(groups)), sorted(set(allowed_groups))
    if unknown := set(wanted) - SCOPES:
        raise KeyFileError(f"unknown scope {sorted(unknown)[0]!r}: choose from {', '.join(sorted(SCOPES))}")
    if not is_tenant(tenant):
        raise KeyFileError(f"{tenant!r} is no name of a tenant: write it without white space around it, and not as '*'")
    if wrong := invalid_grants([f"user:{subject}", *(f"group:{group}" for group in (*member, *allowed))]):
        told = "write the name without white space around it and in composed characters (NFC)"
        raise KeyFileError(f"{wrong[0]!r} is in no access list: {told}")
    secret = _PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        prefix=secret[:_SHOWN],
        digest=_digest(secret),
        tenant=tenant,
        subject=subject,
        groups=member,
        scopes=wanted,
        created=datetime.now(UTC),
        name=name,
        expires=expires,
        allowed_groups=allowed,
        by_name=by_name,
    )
    with _exclusive(path):
        _write(path, [*read_keys(path).keys.values(), key])
    return secret


def expiry(told: str, now: datetime) -> datetime:
    """The moment that `90d`, `12h` or a day name; a day is the first one on which the key is refused, in UTC."""
    if lasts := _LASTS.fullmatch(told):
        return now + int(lasts[1]) * (timedelta(days=1) if lasts[2] == "d" else timedelta(hours=1))
    try:
        ends = datetime.strptime(told, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise KeyFileError(f"expires is {told!r}: say how long, 90d or 12h, or a day, 2027-01-31") from error
    if ends <= now:
        raise KeyFileError(f"expires is {told!r}, which is past: name a later day")
    return ends


def revoke_key(path: Path, prefix: str) -> ApiKey:
    """Remove the one key whose prefix this is."""
    with _exclusive(path):
        keys = list(read_keys(path).keys.values())
        named = [key for key in keys if key.prefix == prefix]
        if len(named) != 1:
            raise KeyFileError(f"{len(named)} keys have prefix {prefix!r}: `twinpin keys list` shows them")
        _write(path, [key for key in keys if key is not named[0]])
    return named[0]


def _digest(secret: str) -> str:
    return f"sha256:{hashlib.sha256(secret.encode()).hexdigest()}"


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """One change at a time, so that a key revoked by one process is not written back by another."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise KeyFileError(f"key file {path.name!r} cannot be changed: {error.strerror}") from error


def _write(path: Path, keys: list[ApiKey]) -> None:
    """Only the owner can read it."""
    replace_file(path, yaml.safe_dump(msgspec.to_builtins(_File(keys)), sort_keys=False, encoding="utf-8"), OWNER)
