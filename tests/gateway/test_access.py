"""Who may ask, for what, and what they see: keys, scopes, tenants, groups, and the caller's own filter."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx2 import Response
from structlog.typing import EventDict

from deploy.keys import create_key, revoke_key
from tests.gateway.house import OTHER_REFUND, PAYOUT, REFUND, REFUND_QUESTION, SALARY, VACATION, House

EVERYTHING = "refund days salary band annual leave"
CALLS = {
    "/v1/answer": {"question": REFUND_QUESTION},
    "/v1/chat/completions": {"model": "twinpin", "messages": [{"role": "user", "content": REFUND_QUESTION}]},
    "/v1/search": {"query": REFUND_QUESTION},
}


def seen(house: House, caller: str, **fields: Any) -> set[str]:
    return {passage["text"] for passage in house.search(EVERYTHING, caller, **fields).json()["passages"]}


def refused(response: Response, status: int, code: str) -> str:
    assert response.status_code == status
    error = response.json()["error"]
    assert (error["code"], error["request_id"]) == (code, response.headers["x-request-id"])
    return str(error["message"])


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic YW5hOnNlY3JldA==",
        "tp_no-scheme",
        "Bearer tp_unknown",
        "Bearer tp_ünknown",
        "Bearer null",
        "Bearer " + "x" * 20_000,
    ],
)
def test_nobody_we_know_is_401(house: House, path: str, authorization: str | None) -> None:
    assert house.post(path, CALLS[path]).status_code == 200
    headers = {} if authorization is None else {"authorization": authorization.encode("latin-1")}
    response = house.client.post(path, json=CALLS[path], headers=headers)  # type: ignore[arg-type]  # raw bytes, as sent
    refused(response, 401, "invalid_api_key")


def test_the_scheme_is_read_in_any_case_and_the_key_is_never_repeated(house: House) -> None:
    key = house.keys["ana"]
    accepted = house.client.get("/v1/models", headers={"authorization": f"bearer  {key} "})
    assert accepted.status_code == 200
    response = house.client.get("/v1/models", headers={"authorization": f"Bearer {key}x"})
    assert key not in refused(response, 401, "invalid_api_key")


def test_a_key_may_do_what_its_scopes_say(house: House) -> None:
    for caller, path, status in (
        ("searcher", "/v1/search", 200),
        ("searcher", "/v1/answer", 403),
        ("searcher", "/v1/chat/completions", 403),
        ("asker", "/v1/answer", 200),
        ("asker", "/v1/chat/completions", 200),
        ("asker", "/v1/search", 403),
    ):
        response = house.post(path, CALLS[path], caller)
        assert response.status_code == status
        if status == 403:
            assert "scope" in refused(response, 403, "missing_scope")
    assert house.client.get("/v1/models", headers=house.headers("searcher")).status_code == 403


def test_a_key_created_while_running_counts_from_the_next_request(house: House) -> None:
    house.ask()
    house.keys["new"] = create_key(
        house.settings.keys, tenant="acme", subject="new", groups=["staff"], scopes=["ask", "search"]
    )
    assert seen(house, "new") == seen(house, "ana") != set()


def test_a_key_revoked_while_running_is_refused_from_the_next_request(house: House) -> None:
    assert house.ask().status_code == 200
    revoke_key(house.settings.keys, house.keys["ana"][:10])
    refused(house.ask(), 401, "invalid_api_key")
    assert house.ask(caller="hanneke").status_code == 200


def test_a_key_that_has_ended_is_refused(house: House) -> None:
    now = datetime.now(UTC)
    for name, ends in (("over", now - timedelta(seconds=1)), ("goes on", now + timedelta(hours=1))):
        house.keys[name] = create_key(
            house.settings.keys, tenant="acme", subject=name, groups=["staff"], scopes=["ask"], expires=ends
        )
    assert house.ask(caller="goes on").status_code == 200
    told = refused(house.ask(caller="over"), 401, "expired_api_key")
    assert f"ended on {now:%Y-%m-%d}" in told


def test_a_broken_key_file_leaves_the_last_good_keys_in_force(house: House) -> None:
    good = house.settings.keys.read_text()
    assert house.ask().status_code == 200
    for broken in ("keys: [", "keys: 5", "other: []", "\x00"):
        house.settings.keys.write_text(broken)
        assert house.ask().status_code == 200
        refused(house.client.get("/v1/models", headers={"authorization": "Bearer tp_x"}), 401, "invalid_api_key")
    house.settings.keys.write_text(good)
    revoke_key(house.settings.keys, house.keys["ana"][:10])
    refused(house.ask(), 401, "invalid_api_key")


def test_without_a_key_file_nobody_is_known(house: House) -> None:
    house.settings.keys.unlink()
    refused(house.ask(), 401, "invalid_api_key")


def test_each_caller_sees_exactly_what_is_theirs(house: House) -> None:
    assert seen(house, "ana") == {REFUND, PAYOUT, VACATION}
    assert seen(house, "hanneke") == {REFUND, PAYOUT, VACATION, SALARY}
    assert seen(house, "eve") == set()
    assert seen(house, "oscar") == {OTHER_REFUND}


def test_two_tenants_with_the_same_document_id_read_their_own(house: House) -> None:
    for caller, words in (("ana", REFUND), ("oscar", OTHER_REFUND)):
        house.model.says(words)
        (citation,) = house.ask(caller=caller).json()["citations"]
        assert citation["document"] == "policies/refunds.md"
        assert citation["quote"] == words
        prompt = house.generator.exchanges[-1].request.messages[-1].content
        assert (REFUND in prompt, OTHER_REFUND in prompt) == (words == REFUND, words == OTHER_REFUND)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/answer", "/v1/chat/completions"])
def test_nothing_forbidden_is_in_prompt_or_response(house: House, path: str, stream: bool) -> None:
    question = "What is the salary band for engineers?"
    messages = [{"role": "user", "content": question}]
    body = {"question": question} if path == "/v1/answer" else {"model": "twinpin", "messages": messages}
    house.model.says("I do not know.")
    shown = {
        caller: house.post(path, {**body, "stream": stream}, caller).text for caller in ("hanneke", "ana", "oscar")
    }
    prompts = "".join(str(exchange.request.messages) for exchange in house.generator.exchanges[1:])
    assert "61000" in str(house.generator.exchanges[0].request.messages)
    assert "salaries" in shown["hanneke"] or path != "/v1/answer" or not stream
    for leaked in ("61000", "salaries"):
        assert leaked not in prompts + shown["ana"] + shown["oscar"]


def test_the_log_holds_no_words_and_no_key(house: House, logged: list[EventDict]) -> None:
    house.ask("What is the salary band for engineers?", "hanneke", user="u-42")
    house.ask(filter={"colour": "red"})
    assert [line["event"] for line in logged] == ["answer"]
    for word in ("salary", "61000", "45 days", "u-42", house.keys["hanneke"]):
        assert word not in str(logged)


def test_the_bodys_user_is_never_identity(house: House) -> None:
    passages = json.dumps(house.ask("salary band engineers", user="hanneke", stream=True).text)
    assert "61000" not in passages


@pytest.mark.parametrize(
    ("narrowing", "left"),
    [
        ({"category": "policy"}, {REFUND, PAYOUT}),
        ({"category": ["policy", "handbook"]}, {REFUND, PAYOUT, VACATION}),
        ({"category": []}, {REFUND, PAYOUT, VACATION}),
        ({"category": "hr"}, set()),
        ({"category": "group:hr"}, set()),
        ({"updated_after": "2026-03-01"}, {REFUND, PAYOUT}),
        ({"updated_after": "2026-03-02"}, set()),
        ({"updated_before": "2024-05-01"}, {VACATION}),
        ({"updated_before": "2024-05-01", "category": "policy"}, set()),
    ],
)
def test_the_callers_filter_only_narrows(house: House, narrowing: dict[str, Any], left: set[str]) -> None:
    assert seen(house, "ana", filter=narrowing) == left
    assert seen(house, "eve", filter=narrowing) == set()
    assert seen(house, "hanneke", filter=narrowing) - left <= {SALARY}


def test_the_filter_holds_for_answers_too(house: House) -> None:
    unfiltered, narrowed = house.ask().json(), house.ask(filter={"category": "hr"}).json()
    assert unfiltered["status"] == "answered"
    assert (narrowed["status"], narrowed["reason"]) == ("abstained", "no_hits")
    chat = house.chat(filter={"category": "hr"}).json()["twinpin"]
    assert (chat["status"], chat["reason"]) == ("abstained", "no_hits")


def test_an_unknown_caller_is_told_so_before_anything_of_the_body(house: House) -> None:
    response = house.client.post("/v1/answer", json={"nonsense": 1}, headers={"authorization": "Bearer tp_unknown"})
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert "nonsense" not in response.text
