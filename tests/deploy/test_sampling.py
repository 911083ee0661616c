"""The sample's callers get keys once, and get new ones when theirs are gone."""

from pathlib import Path

from deploy.keys import read_keys, revoke_key
from deploy.sampling import caller_principals, sample_keys
from deploy.settings import Settings


def test_every_caller_has_a_key_that_is_theirs(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    secrets = sample_keys(settings)
    ring = read_keys(settings.keys)
    for name, who in caller_principals().items():
        key = ring.find(secrets[name])
        assert key is not None
        assert (key.tenant, key.subject, frozenset(key.groups), frozenset(key.scopes)) == (
            who.tenant,
            who.subject,
            who.groups,
            who.scopes,
        )
    assert {who.tenant for who in caller_principals().values()} == {"tallis", "corvane"}
    assert caller_principals()["eve"].groups == frozenset()


def test_keys_are_made_once_and_kept_for_their_owner(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    first, stamp = sample_keys(settings), settings.keys.stat().st_mtime_ns
    assert sample_keys(settings) == first
    assert settings.keys.stat().st_mtime_ns == stamp
    assert (tmp_path / "sample-keys.json").stat().st_mode & 0o777 == 0o600


def test_a_revoked_key_is_made_again_and_the_others_stay(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    first = sample_keys(settings)
    revoke_key(settings.keys, first["ana"][:10])
    second = sample_keys(settings)
    assert second["ana"] != first["ana"]
    assert {**second, "ana": ""} == {**first, "ana": ""}
    assert read_keys(settings.keys).find(second["ana"]) is not None
