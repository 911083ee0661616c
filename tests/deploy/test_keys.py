"""Keys: the secret is shown once and stored nowhere, the file is its owner's alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from deploy.keys import KeyFileError, create_key, expiry, read_keys, revoke_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "keys.yaml"


def make(path: Path, subject: str = "ana", scopes: tuple[str, ...] = ("ask", "search")) -> str:
    return create_key(path, tenant="acme", subject=subject, groups=["staff", "hr", "staff"], scopes=scopes)


def test_a_created_key_is_found_by_its_secret(path: Path) -> None:
    secret = make(path)
    key = read_keys(path).find(secret)
    assert key is not None
    assert (key.tenant, key.subject, key.groups, key.scopes) == ("acme", "ana", ["hr", "staff"], ["ask", "search"])
    assert secret.startswith(key.prefix)
    assert len(secret) > 40
    for other in ("", secret[:-1], secret + "a", key.prefix, key.digest, "tp_" + "a" * 43):
        assert read_keys(path).find(other) is None


def test_the_file_holds_digests_and_only_its_owner_reads_it(path: Path) -> None:
    secret = make(path)
    assert secret not in path.read_text("utf-8")
    assert secret[10:] not in path.read_text("utf-8")
    assert path.stat().st_mode & 0o777 == 0o600
    make(path, "ben")
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in path.parent.iterdir()) == ["keys.lock", "keys.yaml"]


def test_every_key_is_another_one(path: Path) -> None:
    secrets = {make(path) for _ in range(5)}
    ring = read_keys(path)
    assert len(secrets) == len(ring.keys) == 5
    assert all(ring.find(secret) for secret in secrets)


def test_a_revoked_key_is_gone_and_the_others_stay(path: Path) -> None:
    first, second = make(path), make(path, "ben")
    assert revoke_key(path, first[:10]).subject == "ana"
    assert read_keys(path).find(first) is None
    assert read_keys(path).find(second) is not None
    with pytest.raises(KeyFileError, match=r"0 keys have prefix .* `twinpin keys list`"):
        revoke_key(path, first[:10])
    with pytest.raises(KeyFileError, match="0 keys"):
        revoke_key(path, "")


def test_an_unknown_scope_is_refused_and_nothing_is_written(path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"unknown scope 'rule'.*ask, documents:write"):
        make(path, scopes=("ask", "rule"))
    assert not path.exists()


@pytest.mark.parametrize(("subject", "group"), [(" ana", "hr"), ("ana", "hr "), ("rene\u0301", "hr"), ("ana", "")])
def test_a_name_that_no_access_list_can_hold_is_refused(path: Path, subject: str, group: str) -> None:
    with pytest.raises(KeyFileError, match="is in no access list"):
        create_key(path, tenant="acme", subject=subject, groups=[group], scopes=["ask"])
    assert not path.exists()


def test_a_file_of_before_keys_ended_is_read(path: Path) -> None:
    secret = make(path)
    rows = yaml.safe_load(path.read_text("utf-8"))["keys"]
    for name in ("name", "expires", "allowed_groups", "by_name"):
        del rows[0][name]
    path.write_text(yaml.safe_dump({"keys": rows}), "utf-8")
    key = read_keys(path).find(secret)
    assert key is not None
    assert (key.expired(datetime.max.replace(tzinfo=UTC)), key.allowed_groups, key.by_name) == (False, [], False)


NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "ends"),
    [
        ("90d", NOON + timedelta(days=90)),
        ("12h", NOON + timedelta(hours=12)),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
    ],
)
def test_a_key_ends_when_it_is_said_to(path: Path, told: str, ends: datetime) -> None:
    assert expiry(told, NOON) == ends
    secret = create_key(path, tenant="acme", subject="ana", groups=[], scopes=["ask"], expires=expiry(told, NOON))
    key = read_keys(path).find(secret)
    assert key is not None
    assert [key.expired(ends + timedelta(seconds=second)) for second in (-1, 0, 1)] == [False, True, True]


@pytest.mark.parametrize(
    "told", ["", "0d", "90", "d", "-1d", "1e3d", "2026-11-21", "2020-01-01", "2026-13-01", "never"]
)
def test_an_end_that_is_none_is_refused(told: str) -> None:
    with pytest.raises(KeyFileError, match="expires is"):
        expiry(told, NOON)


def test_a_key_reaches_its_own_groups_those_that_are_allowed_or_all(path: Path) -> None:
    for allowed, reached in (([], {"staff"}), (["hr"], {"staff", "hr"}), (["*"], {"staff", "hr", "legal"})):
        secret = create_key(
            path, tenant="acme", subject="desk", groups=["staff"], scopes=["act-as"], allowed_groups=allowed
        )
        key = read_keys(path).find(secret)
        assert key is not None
        assert {group for group in ("staff", "hr", "legal") if key.reaches(group)} == reached


@pytest.mark.parametrize("tenant", ["", "*", " acme", "ac\u200bme"])
def test_a_name_that_is_no_tenants_is_refused(path: Path, tenant: str) -> None:
    with pytest.raises(KeyFileError, match="is no name of a tenant"):
        create_key(path, tenant=tenant, subject="a", groups=[], scopes=["ask"])
    assert not path.exists()


def test_an_allowed_group_that_no_access_list_can_hold_is_refused(path: Path) -> None:
    with pytest.raises(KeyFileError, match="is in no access list"):
        create_key(path, tenant="acme", subject="a", groups=[], scopes=["ask"], allowed_groups=["hr "])


def test_a_missing_file_holds_no_keys(path: Path) -> None:
    assert read_keys(path).keys == {}


@pytest.mark.parametrize("raw", [b"keys: [", b"keys: 1", b"other: []", b"\xff\xfe", b"keys: [{prefix: a}]"])
def test_a_broken_file_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "keys.yaml"
    path.write_bytes(raw)
    with pytest.raises(KeyFileError, match=r"'keys\.yaml' is not valid"):
        read_keys(path)


def test_an_empty_file_holds_no_keys(tmp_path: Path) -> None:
    (tmp_path / "keys.yaml").write_text("")
    assert read_keys(tmp_path / "keys.yaml").keys == {}
