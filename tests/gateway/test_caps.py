"""`limits.yaml` as values."""

import pytest

from gateway.limits.caps import NANO, NO_CAPS, Caps, LimitsRefused, Rate, parse_limits

WRITTEN = b"""
defaults:
  tenant: {requests: 600/minute, dollars: 2.50/day}
  key: {tokens: 1000/hour}
  person: {requests: 9/minute, tokens: 70/day}
tenants:
  acme: {requests: 6000/second, concurrency: 100}
  open: {requests: null, dollars: null, concurrency: null}
keys:
  tp_7Qk2aX9: {concurrency: 4, priority: batch}
issuers:
  https://login.example: {tokens: null, concurrency: 2}
"""


def test_what_single_ones_do_not_name_is_as_for_all() -> None:
    limited = parse_limits(WRITTEN, concurrency=64)
    spend = Rate(5 * NANO // 2, 86_400)
    assert limited.of_tenant("anybody") == Caps(64, Rate(600, 60), None, spend)
    assert limited.of_tenant("acme") == Caps(100, Rate(6_000, 1), None, spend)
    assert limited.of_tenant("open") == NO_CAPS
    assert limited.of_key("tp_another") == Caps(tokens=Rate(1_000, 3_600))
    assert limited.of_key("tp_7Qk2aX9") == Caps(concurrency=4, tokens=Rate(1_000, 3_600), priority="batch")
    assert limited.of_person("https://else.example") == Caps(None, Rate(9, 60), Rate(70, 86_400))
    assert limited.of_person("https://login.example") == Caps(2, Rate(9, 60))


def test_an_empty_file_limits_what_settings_limit() -> None:
    limited = parse_limits(b"", concurrency=8)
    assert (limited.of_tenant("acme"), limited.of_key("tp_1")) == (Caps(8), NO_CAPS)
    assert limited.of_person("https://login.example") == NO_CAPS


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("defaults: {tenant: {requests: 600}}", "Expected `str | null`, got `int` - at `$.defaults.tenant.requests`"),
        ("defaults: {tenant: {requests: 600/week}}", "defaults.tenant.requests is '600/week': write an amount per"),
        ("tenants: {a: {tokens: 0.5/day}}", "tenants.a.tokens is '0.5/day': tokens are whole numbers"),
        ("keys: {k: {dollars: 1000001/day}}", "keys.k.dollars is '1000001/day': more than 1000000 dollars"),
        ("keys: {k: {priority: urgent}}", "Invalid enum value 'urgent' - at `$.keys[...].priority`"),
        ("keys: {k: {concurrency: -1}}", "Expected `int` >= 0 - at `$.keys[...].concurrency`"),
        ("issuers: {i: {requests: 1}}", "Expected `str | null`, got `int` - at `$.issuers[...].requests`"),
        ("defaults: {user: {}}", "Object contains unknown field `user` - at `$.defaults`"),
        ("tenants: [", "the limits are not valid"),
        ("\xff", "the limits are not valid"),
    ],
)
def test_what_is_not_good_is_refused_by_its_place(written: str, told: str) -> None:
    with pytest.raises(LimitsRefused) as refused:
        parse_limits(written.encode("latin-1"), concurrency=64)
    assert told in str(refused.value)


def test_a_share_is_never_nothing_of_something() -> None:
    caps = Caps(3, Rate(10, 60), Rate(0, 60), Rate(NANO, 60))
    assert caps.scaled(0.25) == Caps(1, Rate(2, 60), Rate(0, 60), Rate(NANO // 4, 60))
