"""Limits as callers meet them: what is admitted, what is refused and how that is told, and what it is settled to."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient
from structlog.typing import EventDict

from deploy.keys import create_key
from deploy.pins import Pin
from gateway.app import create_app
from gateway.limits.caps import LimitsRefused
from serving.errors import EngineAborted, EngineUnavailable
from serving.manifest import Price
from serving.scripted import Script
from tests.gateway.house import CORPUS, REFUND, House, make_house, opening, pinned_manifest, pinned_recipe
from tests.gateway.issuer import Issuer, entry, write_identity
from tests.redis_server import running_redis

MakeHouse = Callable[..., AbstractContextManager[House]]
ONE_ANSWER = 2_000  # tokens of the model's context: what is reserved for one


@pytest.fixture
def limited(tmp_path: Path) -> MakeHouse:
    """A house with these limits."""

    @contextmanager
    def made(limits: str, **settings: Any) -> Iterator[House]:
        file = tmp_path / "limits.yaml"
        file.write_text(limits, "utf-8")
        house = make_house(tmp_path, limits=file, **settings)
        house.model.says(f"{REFUND[:-1]} [1].")
        with started(house):
            yield house

    return made


@contextmanager
def started(house: House) -> Iterator[None]:
    """A gateway on what the house has, for the first time or again."""
    house.app = create_app(house.settings, opening(house, CORPUS))
    with TestClient(house.app) as client:
        house.client = client
        yield


def requests(response: Response, field: str, measure: str = "requests") -> str:
    return str(response.headers[f"x-ratelimit-{field}-{measure}"])


def usage(house: House, caller: str = "ana", **query: Any) -> Any:
    response = house.client.get("/v1/usage", params=query, headers=house.headers(caller))
    assert response.status_code == 200
    return response.json()


def standing(house: House, measure: str, caller: str = "ana") -> dict[str, Any]:
    (level,) = (level for level in usage(house, caller)["limits"] if level["measure"] == measure)
    return dict(level)


def key_of(house: House, caller: str) -> str:
    return house.keys[caller][:10]


@pytest.mark.parametrize("stream", [False, True])
def test_every_answer_tells_how_its_limits_stand(limited: MakeHouse, stream: bool) -> None:
    with limited("defaults: {tenant: {requests: 100/minute, tokens: 50000/hour, dollars: 2/day}}") as house:
        answer = house.ask(stream=stream)
        assert answer.status_code == 200
        told = {name: value for name, value in answer.headers.items() if name.startswith("x-ratelimit-")}
        assert 86_400 <= int(told.pop("x-ratelimit-reset-dollars").removesuffix("s")) <= 86_400 * 51 / 50
        assert told == {
            "x-ratelimit-limit-concurrency": "64",
            "x-ratelimit-remaining-concurrency": "63",
            "x-ratelimit-reset-concurrency": "1s",
            "x-ratelimit-limit-requests": "100",
            "x-ratelimit-remaining-requests": "99",
            "x-ratelimit-reset-requests": told["x-ratelimit-reset-requests"],
            "x-ratelimit-limit-tokens": "50000",
            "x-ratelimit-remaining-tokens": str(50_000 - ONE_ANSWER),
            "x-ratelimit-reset-tokens": told["x-ratelimit-reset-tokens"],
            "x-ratelimit-limit-dollars": "2",
            "x-ratelimit-remaining-dollars": str(2 - (1_904 + 2 * 96) / 1e6),
        }


@pytest.mark.parametrize(
    ("changed", "measure", "reserved"),
    [
        ({"context_tokens": 4_000}, "tokens", 4_000),
        ({"price": Price(1.0, 5.0)}, "dollars", (1_904 + 5 * 96) / 1e6),
        ({"price": Price(3.0, 0.5)}, "dollars", (3 * 1_904 + 2 * 96) / 1e6),  # by either version, or a bit of both
    ],
)
def test_what_a_fallback_would_take_is_reserved_too(
    tmp_path: Path, changed: dict[str, Any], measure: str, reserved: float
) -> None:
    file = tmp_path / "limits.yaml"
    file.write_text("defaults: {tenant: {tokens: 50000/hour, dollars: 2/day}}", "utf-8")
    house = make_house(tmp_path, limits=file)
    house.model.says(f"{REFUND[:-1]} [1].")
    fallback = house.describe(pinned_manifest("spare", **changed))
    house.pin(Pin(pinned_recipe().name), Pin(pinned_manifest().name, fallback=fallback))
    with started(house):
        answer = house.ask()
        limit, left = (float(requests(answer, field, measure)) for field in ("limit", "remaining"))
    assert limit - left == pytest.approx(reserved)


def test_a_refusal_is_openais_429_and_says_which_limit_of_whom_and_when_to_come_back(limited: MakeHouse) -> None:
    with limited("defaults: {tenant: {requests: 2/minute}}") as house:
        assert [house.ask().status_code, house.chat(caller="hanneke").status_code] == [200, 200]
        for refused in (house.ask(), house.ask(stream=True), house.chat(), house.search()):
            assert refused.status_code == 429
            error = refused.json()["error"]
            assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
            assert error["message"].startswith("your tenant may take 2 requests in any 60 s, and has")
            assert 58 <= int(refused.headers["retry-after"]) <= 62
            assert (requests(refused, "limit"), requests(refused, "remaining")) == ("2", "0")
            assert refused.headers["x-request-id"] == error["request_id"]
        assert len(house.generator.exchanges) == 2, "nothing is asked of the model for who is refused"
        assert house.ask(caller="oscar").status_code == 200
        assert house.metrics()['twinpin_budget_refusals_total{limit="requests",tenant="other",whose="tenant"}'] == 4


def test_a_key_has_limits_of_its_own(limited: MakeHouse, tmp_path: Path) -> None:
    with limited("defaults: {tenant: {requests: 100/minute}, key: {requests: 1/hour}}") as house:
        assert requests(house.ask(), "limit") == "1"
        refused = house.ask()
        assert refused.json()["error"]["message"].startswith("this API key may take 1 requests in any 3600 s")
        assert house.ask(caller="hanneke").status_code == 200
        assert house.metrics()['twinpin_budget_refusals_total{limit="requests",tenant="other",whose="key"}'] == 1


def test_each_person_of_an_issuer_has_limits_of_their_own(limited: MakeHouse, tmp_path: Path) -> None:
    issuer = Issuer()
    (tmp_path / "jwks.json").write_bytes(issuer.jwks())
    identity = write_identity(tmp_path / "identity.yaml", entry(issuer, jwks_file="jwks.json"))
    limits = f"{{defaults: {{person: {{requests: 1/hour}}}}, issuers: {{'{issuer.url}': {{requests: 2/hour}}}}}}"
    with running_redis() as redis, limited(limits, identity=identity, redis_url=redis.url) as house:

        def ask(subject: str) -> Response:
            bearer = {"authorization": f"Bearer {issuer.token(sub=subject)}"}
            return house.client.post("/v1/answer", json={"question": "refund?"}, headers=bearer)

        assert [requests(ask("ana"), "remaining") for _ in range(2)] == ["1", "0"]
        refused = ask("ana")
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert refused.json()["error"]["message"].startswith("your account may take 2 requests in any 3600 s, and has")
        assert ask("bob").status_code == 200, "another person is not kept waiting"
        assert "x-ratelimit-limit-requests" not in house.ask().headers, "a key has limits of keys"
        bearer = {"authorization": f"Bearer {issuer.token(sub='ana')}"}
        levels = house.client.get("/v1/usage", headers=bearer).json()["limits"]
        assert [(one["of"], one["measure"], one["used"]) for one in levels][-1] == ("person", "requests", 2)
        assert house.metrics()['twinpin_budget_refusals_total{limit="requests",tenant="other",whose="person"}'] == 1
        held = redis.run("KEYS", "*").splitlines()
        assert any("person" in name for name in held)
        assert not any("ana" in name for name in held), "the ledger names nobody"


def test_limits_of_single_tenants_and_keys_change_what_they_name(limited: MakeHouse, tmp_path: Path) -> None:
    with limited("defaults: {tenant: {requests: 7/minute, tokens: 90000/minute}}") as house:
        before = house.ask(caller="oscar")
        (tmp_path / "limits.yaml").write_text(
            "defaults: {tenant: {requests: 7/minute, tokens: 90000/minute}}\n"
            "tenants: {other: {requests: null, concurrency: 3}}\n"
            f"keys: {{{key_of(house, 'ana')}: {{requests: 5/minute}}}}\n",
            "utf-8",
        )
        eventually(lambda: requests(house.ask(caller="oscar"), "limit", "concurrency") == "3")
        assert requests(before, "limit") == "7"
        after = house.ask(caller="oscar")
        assert "x-ratelimit-limit-requests" not in after.headers
        assert requests(after, "limit", "tokens") == "90000"
        assert requests(house.ask(), "limit") == "5"


def eventually(reached: Callable[[], bool]) -> None:
    """Within two looks at a file that is followed."""
    for _ in range(100):
        if reached():
            return
        time.sleep(0.05)
    pytest.fail("it never came")


def test_a_file_that_is_not_good_changes_nothing_and_is_told(
    limited: MakeHouse, tmp_path: Path, logged: list[EventDict]
) -> None:
    with limited("defaults: {tenant: {requests: 9/minute}}") as house:
        assert house.client.get("/readyz").json()["limits"] == {"budgets": "in process", "config": "in force"}
        (tmp_path / "limits.yaml").write_text("defaults: {tenant: {requests: many}}", "utf-8")
        eventually(lambda: house.metrics()["twinpin_limits_config_ok"] == 0)
        ready = house.client.get("/readyz")
        assert (ready.status_code, ready.json()["limits"]["config"]) == (200, "refused")
        assert requests(house.ask(), "limit") == "9"
        (reason,) = (line["reason"] for line in logged if line["event"] == "limits_refused")
        assert reason.startswith("defaults.tenant.requests is 'many': write an amount per second, minute, hour, day")
        (tmp_path / "limits.yaml").unlink()
        eventually(lambda: sum(line["event"] == "limits_refused" for line in logged) == 2)
        (tmp_path / "limits.yaml").write_text("defaults: {tenant: {requests: 8/minute}}", "utf-8")
        eventually(lambda: house.metrics()["twinpin_limits_config_ok"] == 1)
        assert requests(house.ask(), "limit") == "8"


@pytest.mark.parametrize(
    "limits", [None, "defaults: {tenant: {wishes: 3/day}}", "- 1", "tenants: {a: {dollars: -1/day}}"]
)
def test_nothing_starts_with_limits_that_were_never_good(tmp_path: Path, limits: str | None) -> None:
    file = tmp_path / "limits.yaml"
    if limits is not None:
        file.write_text(limits, "utf-8")
    house = make_house(tmp_path, limits=file)
    with pytest.raises(LimitsRefused), TestClient(create_app(house.settings, opening(house))):
        pass


def test_what_was_reserved_is_settled_to_what_the_engine_counted(limited: MakeHouse) -> None:
    with limited("defaults: {tenant: {tokens: 50000/hour, dollars: 1/day}}") as house:
        told = [house.ask().json()["usage"], house.chat().json()["usage"]]
        tokens = sum(one["prompt_tokens"] + one["completion_tokens"] for one in told)
        assert 0 < tokens < ONE_ANSWER
        assert standing(house, "tokens")["used"] == tokens
        cost = sum((one["prompt_tokens"] + 2 * one["completion_tokens"]) / 1e6 for one in told)
        assert math.isclose(standing(house, "dollars")["used"], cost, abs_tol=1e-8)
        assert standing(house, "concurrency")["used"] == 0


def test_an_abstention_costs_a_request_and_nothing_else(limited: MakeHouse) -> None:
    with limited("defaults: {tenant: {requests: 5/hour, tokens: 50000/hour}}") as house:
        house.ask(caller="eve")
        house.search()
        assert (standing(house, "requests")["used"], standing(house, "tokens")["used"]) == (2, 0)


@pytest.mark.parametrize("stream", [False, True])
def test_what_broke_off_is_settled_to_what_came(limited: MakeHouse, stream: bool) -> None:
    with limited("defaults: {tenant: {tokens: 50000/hour}}") as house:
        whole = house.ask().json()["usage"]
        before = standing(house, "tokens")["used"]
        house.model.script = Script(("Customers", " may", " ask", EngineAborted("the engine gave up")))
        house.ask(stream=stream)
        broken = standing(house, "tokens")["used"] - before
        assert 0 <= broken - whole["prompt_tokens"] - 3 < 60, "the prompt by its estimate, the words as they came"


def test_who_never_got_to_the_engine_used_nothing(limited: MakeHouse) -> None:
    with limited("defaults: {tenant: {tokens: 50000/hour}}") as house:
        house.model.script = Script(refused=EngineUnavailable("gone"))
        failed = house.ask()
        assert (failed.status_code, requests(failed, "limit", "tokens")) == (503, "50000")
        assert standing(house, "tokens")["used"] == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/documents"),
        ("PUT", "/v1/documents/new.md"),
        ("POST", "/v1/documents"),
        ("GET", "/v1/documents/handbook.pdf"),
        ("DELETE", "/v1/documents/handbook.pdf"),
        ("PATCH", "/v1/documents/handbook.pdf/access"),
        ("GET", "/v1/ingestions/ing_1"),
        ("POST", "/v1/search"),
        ("POST", "/v1/feedback"),
        ("GET", "/v1/review"),
        ("POST", "/v1/review"),
        ("GET", "/v1/records"),
        ("DELETE", "/v1/records"),
    ],
)
def test_whatever_costs_something_takes_a_request(limited: MakeHouse, method: str, path: str) -> None:
    """Whether it is well-formed or not; who may not do it, or is nobody, takes none."""
    with limited("defaults: {key: {requests: 1/hour}}") as house:
        scopes = ["search", "documents:write", "feedback", "review", "admin"]
        secret = create_key(house.settings.keys, tenant="acme", subject="li", groups=["staff"], scopes=scopes)
        headers = {"authorization": f"Bearer {secret}"}
        assert house.client.request(method, path, headers=house.headers("asker")).status_code == 403
        assert house.client.request(method, path).status_code == 401
        first = house.client.request(method, path, headers=headers)
        assert first.status_code != 429
        assert requests(first, "remaining") == "0"
        second = house.client.request(method, path, headers=headers)
        assert (second.status_code, second.json()["error"]["code"]) == (429, "rate_limit_exceeded")


def test_usage_is_a_tenants_own_by_day_and_version_and_survives_a_restart(limited: MakeHouse) -> None:
    limits = "defaults: {tenant: {requests: 50/hour}, key: {tokens: 90000/day}}"
    with limited(limits) as house:
        told = [house.ask().json()["usage"], house.ask(caller="hanneke").json()["usage"]]
        house.search()
        house.ask(caller="oscar")
        shown = usage(house)
        assert (shown["object"], shown["tenant"]) == ("usage", "acme")
        assert [(one["of"], one["measure"]) for one in shown["limits"]] == [
            ("tenant", "concurrency"),
            ("tenant", "requests"),
            ("key", "tokens"),
        ]
        assert standing(house, "requests")["remaining"] == 47
        assert standing(house, "tokens")["used"] == told[0]["prompt_tokens"] + told[0]["completion_tokens"]
    with started(house):
        (day,) = usage(house)["days"]
        sums = {name: sum(one[name] for one in told) for name in ("prompt_tokens", "completion_tokens", "cost")}
        assert day["requests"] == 3
        assert {name: day[name] for name in sums} == pytest.approx(sums)
        assert [(one["model"], one["requests"]) for one in day["models"]] == [(None, 1), (pinned_manifest().name, 2)]


def test_only_an_administrator_sees_another_tenants_usage(limited: MakeHouse) -> None:
    with limited("defaults: {tenant: {requests: 50/hour}}") as house:
        house.ask(caller="oscar")
        house.keys["root"] = create_key(house.settings.keys, tenant="acme", subject="root", groups=[], scopes=["admin"])
        refused = house.client.get("/v1/usage", params={"tenant": "other"}, headers=house.headers("ana"))
        assert (refused.status_code, "'other'" in refused.json()["error"]["message"]) == (403, False)
        theirs = usage(house, "root", tenant="other")
        assert (theirs["tenant"], theirs["days"][0]["requests"]) == ("other", 1)
        assert {one["of"] for one in theirs["limits"]} == {"tenant"}
        assert usage(house, "root")["days"] == []


def test_costs_are_told_by_named_tenants_and_by_others_together(limited: MakeHouse) -> None:
    """However many tenants there are, the series stay the same."""
    with limited("{}", metric_tenants="acme, absent", engine_dollars_per_hour=3_600.0) as house:
        for n in range(100):
            house.keys[f"junk{n}"] = create_key(
                house.settings.keys, tenant=f"junk{n}", subject="x", groups=[], scopes=["ask"]
            )
        meter = house.app.state.parts.answering._meter
        for caller in ("ana", "oscar", "junk0"):
            house.ask(caller=caller)
        meter.bill()
        before = house.metrics()
        for n in range(1, 100):
            assert house.ask(caller=f"junk{n}").status_code == 200
        meter.bill()
        after = house.metrics()
    series = [name for name in after if "cost_dollars_total" in name]
    assert {name for name in after if "tenant=" in name} == {name for name in before if "tenant=" in name}
    assert not any("junk" in name for name in after)
    model = pinned_manifest().name
    for tenant in ("acme", "other"):
        assert before[f'twinpin_effective_cost_dollars_total{{model="{model}",tenant="{tenant}"}}'] > 0
    assert len(series) == 6, "list and effective cost of two tenants, list cost of the version, and what was idle"


def test_gateways_count_together_in_redis_and_apart_while_it_is_gone(limited: MakeHouse) -> None:
    limits = "defaults: {tenant: {requests: 40/hour, tokens: 100000/hour}}"
    with running_redis() as redis, limited(limits, redis_url=redis.url) as house:
        told = house.ask().json()["usage"]
        assert standing(house, "requests")["used"] == 1
        assert standing(house, "tokens")["used"] == told["prompt_tokens"] + told["completion_tokens"]
        assert house.client.get("/readyz").json()["limits"]["budgets"] == "shared"
        redis.kill()
        apart = house.ask(stream=True)
        assert (apart.status_code, requests(apart, "limit"), requests(apart, "remaining")) == (200, "10", "9")
        ready = house.client.get("/readyz")
        assert (ready.status_code, ready.json()["limits"]["budgets"]) == (200, "degraded")
        eventually(lambda: house.metrics()["twinpin_budgets_degraded"] == 1)
        redis.start()
        eventually(lambda: house.client.get("/readyz").json()["limits"]["budgets"] == "shared")
        assert requests(house.ask(), "limit") == "40"
