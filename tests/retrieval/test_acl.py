"""The access rule and the one way to a filter."""

import pytest

from retrieval.acl import Access, AccessFilter, Principal, access_filter, invalid_grants


def reader(subject: str = "ana", *groups: str, tenant: str = "acme") -> AccessFilter:
    return access_filter(Principal(tenant, subject, frozenset(groups), frozenset()))


@pytest.mark.parametrize(
    ("allow", "deny", "permitted"),
    [
        ({"group:hr"}, set(), True),
        ({"user:ana"}, set(), True),
        ({"user:hr"}, set(), False),
        ({"group:ana"}, set(), False),
        (set(), set(), False),
        ({"group:hr"}, {"user:ana"}, False),
        ({"group:hr", "user:ana"}, {"group:hr"}, False),
        ({"group:hr"}, {"group:legal"}, True),
    ],
)
def test_deny_wins_and_an_empty_allow_means_nobody(allow: set[str], deny: set[str], permitted: bool) -> None:
    access = Access("acme", frozenset(allow), frozenset(deny))
    assert reader("ana", "hr").permits(access) is permitted


def test_another_tenant_is_never_permitted() -> None:
    assert not reader("ana", "hr", tenant="other").permits(Access("acme", frozenset({"group:hr", "user:ana"})))


def test_nobody_makes_a_filter_by_hand() -> None:
    with pytest.raises(TypeError, match="access_filter"):
        AccessFilter("acme", frozenset({"group:hr"}), frozenset({"group:hr"}), object())


def test_grants_that_match_nobody_are_named() -> None:
    assert invalid_grants(["group:hr", "hr", "user:", "everyone", "user:a"]) == ["hr", "user:", "everyone"]


def test_grants_that_only_look_like_another_are_named() -> None:
    alike = [" group:hr", "group: hr", "group:hr ", "group:hr\n", "user:rene\u0301", "user:\u00a0a"]
    alike += ["group:h\u200br", "group:hr\x1fgroup:legal"]
    assert invalid_grants([*alike, "group:human resources", "user:ren\u00e9"]) == alike
