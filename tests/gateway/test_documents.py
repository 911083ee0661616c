"""Documents over HTTP: what is acknowledged is durable, is found, and is true at once."""

import base64
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from retrieval.receipt import Signer
from tests.gateway.house import REFUND, REFUND_QUESTION, SALARY, House
from tests.gateway.librarians import BADGE, LANYARD, STAFF, found, hire, path, put, send, texts

ID = "visits/badges.md"


@pytest.fixture
def house(house: House) -> House:
    return hire(house)


def test_a_new_document_is_found_and_answers_at_once(house: House) -> None:
    response = put(house, ID, f"# Badges\n\n{BADGE}", category="security", updated="2026-05-01")
    assert response.status_code == 201
    shown = response.json()
    assert (shown["id"], shown["title"], shown["outcome"], shown["chunks"]) == (ID, "Badges", "added", 1)
    assert (shown["category"], shown["updated"], shown["origin"]) == ("security", "2026-05-01", "api")
    assert shown["access"] == {"tenant": "acme", "allow": ["group:staff"], "deny": []}
    assert re.fullmatch("sha256:[0-9a-f]{64}", shown["version"])
    assert "text" not in shown
    assert BADGE in texts(house, "yellow badge visitors")
    house.model.says(f"{BADGE[:-1]} [1].")
    answer = house.ask("Where do visitors collect a yellow badge?").json()
    assert [one["document"] for one in answer["citations"]] == [ID]
    assert answer["citations"][0]["version"] == shown["version"]


def test_the_same_again_changes_nothing(house: House) -> None:
    first = put(house, ID, BADGE).json()
    again = put(house, ID, BADGE)
    assert (again.status_code, again.json()["outcome"]) == (200, "unchanged")
    assert (again.json()["sequence"], again.json()["version"]) == (first["sequence"], first["version"])


def test_an_update_replaces_all_of_it(house: House) -> None:
    long = "\n\n".join(f"# Part {n}\n\n{BADGE}" for n in range(20))
    before = put(house, ID, long).json()
    updated = put(house, ID, LANYARD)
    assert (updated.status_code, updated.json()["outcome"]) == (200, "updated")
    assert updated.json()["sequence"] > before["sequence"]
    shown = texts(house, "visitors collect badge lanyard")
    assert LANYARD in shown
    assert BADGE not in shown
    assert send(house, "GET", path(ID), "ana").json()["text"] == LANYARD


def test_access_alone_embeds_nothing_and_counts_at_once(house: House) -> None:
    put(house, ID, BADGE)
    hidden = put(house, ID, BADGE, access={"allow": ["group:hr"], "deny": ["user:eve"]}).json()
    assert (hidden["outcome"], hidden["chunks"]) == ("access", 0)
    assert ID not in found(house, "yellow badge")
    assert ID in found(house, "yellow badge", "hanneke")


def test_a_file_comes_in_base64_and_its_name_chooses_the_parser(house: House) -> None:
    page = f"<html><title>Visits</title><body><p>{BADGE}</p></body></html>".encode()
    file = {"name": "visits.html", "content": base64.b64encode(page).decode()}
    response = send(house, "PUT", path("visits"), "wanda", {"file": file, "access": STAFF})
    assert (response.status_code, response.json()["name"]) == (201, "visits.html")
    assert send(house, "GET", path("visits"), "ana").json()["text"].strip().endswith(BADGE)


def test_what_cannot_be_parsed_is_refused_and_what_was_there_stays(house: House) -> None:
    put(house, ID, BADGE)
    file = {"name": "broken.pdf", "content": base64.b64encode(b"%PDF-1.7 nothing").decode()}
    response = send(house, "PUT", path(ID), "wanda", {"file": file, "access": STAFF})
    assert (response.status_code, response.json()["error"]["code"]) == (422, "document_refused")
    assert BADGE in texts(house, "yellow badge")


@pytest.mark.parametrize(
    "document", ["a/b/c.md", "Übersicht 2026.md", "50% off?.md", "a#b", "q+r&s=t", "a/history", "x/access"]
)
def test_an_id_is_what_stands_in_the_path_however_it_is_escaped(house: House, document: str) -> None:
    assert put(house, document, BADGE).json()["id"] == document
    shown = send(house, "GET", path(document), "wanda")
    assert (shown.status_code, shown.json()["id"]) == (200, document)
    assert send(house, "GET", path(document, "/history"), "wanda").json()["object"] == "list"
    moved = send(house, "PATCH", path(document, "/access"), "wanda", {"allow": ["group:hr"], "deny": []})
    assert moved.json()["access"]["allow"] == ["group:hr"]
    assert send(house, "DELETE", path(document), "wanda").json()["id"] == document


def test_slashes_may_stand_for_themselves(house: House) -> None:
    put(house, ID, BADGE)
    assert send(house, "GET", f"/v1/documents/{ID}", "wanda").json()["id"] == ID
    assert send(house, "GET", f"/v1/documents/{ID}/history", "wanda").json()["data"][0]["current"] is True
    assert send(house, "GET", "/v1/documents/visits%252Fbadges.md", "wanda").status_code == 404


def test_another_source_may_not_replace_it(house: House) -> None:
    put(house, ID, BADGE, origin="handbook")
    response = put(house, ID, LANYARD)
    assert (response.status_code, response.json()["error"]["code"]) == (409, "origin_conflict")
    assert put(house, ID, LANYARD, origin="handbook").json()["outcome"] == "updated"


def test_what_supersedes_hides_and_its_deletion_brings_back(house: House) -> None:
    put(house, "new-refunds.md", "Customers may ask for a refund within 60 days.", supersedes="policies/refunds.md")
    assert REFUND not in texts(house, REFUND_QUESTION)
    deleted = send(house, "DELETE", path("new-refunds.md"), "wanda").json()
    assert (deleted["object"], deleted["chunks"], deleted["restored"]) == (
        "document.deleted",
        1,
        ["policies/refunds.md"],
    )
    assert REFUND in texts(house, REFUND_QUESTION)


def test_what_is_deleted_is_gone_at_once_and_the_second_time_is_404(house: House) -> None:
    put(house, ID, BADGE)
    first = send(house, "DELETE", path(ID), "wanda")
    assert (first.status_code, first.json()["id"], first.json()["restored"]) == (200, ID, [])
    assert ID not in found(house, "yellow badge visitors")
    assert send(house, "GET", path(ID), "wanda").status_code == 404
    assert send(house, "GET", path(ID, "/history"), "wanda").status_code == 404
    assert send(house, "DELETE", path(ID), "wanda").status_code == 404
    assert send(house, "POST", path(ID, "/revert"), "wanda", {}).status_code == 404


def test_access_is_changed_by_itself_and_is_true_for_the_next_request(house: House) -> None:
    assert SALARY not in texts(house, "salary band engineers")
    response = send(house, "PATCH", path("hr/salaries.md", "/access"), "wanda", {"allow": ["group:staff"], "deny": []})
    assert (response.status_code, response.json()["access"]["allow"]) == (200, ["group:staff"])
    assert response.json()["epoch"] == response.json()["sequence"]
    assert SALARY in texts(house, "salary band engineers")
    denied = {"allow": ["group:staff"], "deny": ["user:ana"]}
    assert send(house, "PATCH", path("hr/salaries.md", "/access"), "wanda", denied).status_code == 200
    assert SALARY not in texts(house, "salary band engineers")
    nobody = send(house, "PATCH", path("hr/salaries.md", "/access"), "wanda", {"allow": [], "deny": []})
    assert nobody.status_code == 200
    assert SALARY not in texts(house, "salary band engineers", "hanneke")


def test_history_and_revert_bring_content_back_but_no_access(house: House) -> None:
    first = put(house, ID, BADGE).json()
    put(house, ID, LANYARD)
    send(house, "PATCH", path(ID, "/access"), "wanda", {"allow": ["group:hr"], "deny": []})
    kept = send(house, "GET", path(ID, "/history"), "wanda").json()["data"]
    assert [one["current"] for one in kept] == [True, False]
    assert kept[1]["version"] == first["version"]
    assert "access" not in kept[1]
    back = send(house, "POST", path(ID, "/revert"), "wanda", {"to": None})
    assert (back.status_code, back.json()["version"], back.json()["outcome"]) == (200, first["version"], "updated")
    assert back.json()["access"]["allow"] == ["group:hr"]
    assert ID not in found(house, "yellow badge visitors")
    assert BADGE in texts(house, "yellow badge visitors", "hanneke")


def test_what_cannot_be_reverted_says_so(house: House) -> None:
    put(house, ID, BADGE)
    for body in ({}, {"to": None}, {"to": "sha256:" + "0" * 64}):
        response = send(house, "POST", path(ID, "/revert"), "wanda", body)
        assert (response.status_code, response.json()["error"]["code"]) == (409, "cannot_revert")


def test_an_erasure_gives_a_receipt_that_verifies_and_may_be_repeated(house: House) -> None:
    put(house, ID, BADGE)
    put(house, ID, LANYARD)
    response = send(house, "DELETE", f"{path(ID)}?erase=true", "wanda")
    assert response.status_code == 200
    signed = response.json()
    signer = Signer(house.settings.signing_key)
    assert signer.verify(signed["signature"]).id == signed["receipt"]["id"]
    assert (signed["receipt"]["document"], signed["receipt"]["tenant"]) == (ID, "acme")
    assert {one["store"] for one in signed["receipt"]["stores"]} > {"catalog"}
    again = send(house, "DELETE", f"{path(ID)}?erase=true", "wanda")
    assert (again.status_code, again.json()["receipt"]["document"]) == (200, ID)
    assert send(house, "DELETE", path(ID), "wanda").status_code == 404
    assert ID not in found(house, "visitors collect badge lanyard")
    assert send(house, "DELETE", f"{path('never-was.md')}?erase=true", "wanda").status_code == 404


def test_an_erasure_that_leaves_bytes_says_that_nobody_reads_them_and_to_repeat(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrieval.residue import Residue
    from retrieval.stores.memory_store import MemoryStore

    async def left(store: MemoryStore, needles: object) -> Residue:
        return Residue(1_000, 1)

    put(house, ID, BADGE)
    with monkeypatch.context() as patched:
        patched.setattr(MemoryStore, "residue", left)
        response = send(house, "DELETE", f"{path(ID)}?erase=true", "wanda")
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (503, "erasure_incomplete")
    assert "nobody can read the document any more" in error["message"]
    assert "repeat" in error["message"]
    assert send(house, "GET", path(ID), "wanda").status_code == 404
    assert send(house, "DELETE", f"{path(ID)}?erase=true", "wanda").status_code == 200


def listed(house: House, query: str = "", caller: str = "wanda") -> list[dict[str, Any]]:
    """All pages of a list."""
    rows: list[dict[str, Any]] = []
    after = ""
    while True:
        page = send(house, "GET", f"/v1/documents?{query}{after}", caller).json()
        rows += page["data"]
        if page["next"] is None:
            return rows
        after = f"&after={page['next']}"


def test_a_list_goes_on_page_by_page_whatever_its_size(house: House) -> None:
    for n in range(7):
        put(house, f"n/{n}.md", f"{BADGE} {n}", category="visits" if n % 2 else None, origin="even" if n % 2 else "odd")
    every = [one["id"] for one in listed(house)]
    assert every == sorted(every)
    assert len(every) == 10
    for limit in (1, 2, 3, 9, 10, 11):
        assert [one["id"] for one in listed(house, f"limit={limit}")] == every
    assert [one["id"] for one in listed(house, "category=visits&limit=2")] == ["n/1.md", "n/3.md", "n/5.md"]
    assert [one["id"] for one in listed(house, "origin=odd")] == ["n/0.md", "n/2.md", "n/4.md", "n/6.md"]
    assert listed(house, "category=none") == []


def test_a_readers_list_and_document_hold_only_what_is_theirs(house: House) -> None:
    rows = listed(house, "", "ana")
    assert [one["id"] for one in rows] == ["handbook.pdf", "policies/refunds.md"]
    assert listed(house, "limit=1", "ana") == listed(house, "limit=2", "ana") == rows
    assert listed(house, "", "eve") == []
    shown = send(house, "GET", path("policies/refunds.md"), "ana").json()
    for told in (rows[0], shown):
        assert not {"access", "supersedes", "origin", "given", "sequence", "epoch", "name"} & told.keys()
    assert REFUND in shown["text"]
    assert "access" in send(house, "GET", path("policies/refunds.md"), "full").json()


def test_a_reader_sees_one_version_or_the_other_and_never_both(house: House) -> None:
    """Five parts each; somebody searches all the while."""
    versions = ["\n\n".join(f"# Part {n}\n\n{words} Part {n} of it." for n in range(5)) for words in (BADGE, LANYARD)]
    put(house, ID, versions[0])
    with ThreadPoolExecutor(1) as writer:
        edits = writer.submit(lambda: [put(house, ID, versions[turn % 2]).status_code for turn in range(1, 25)])
        seen = set()
        while not edits.done():
            passages = house.search("visitors collect badge lanyard part", limit=50).json()["passages"]
            mine = [one for one in passages if one["document"] == ID]
            assert len({one["version"] for one in mine}) <= 1
            assert {BADGE in one["text"] for one in mine} in ({True}, {False}, set())
            seen |= {one["version"] for one in mine}
    assert set(edits.result()) == {200}
    assert len(seen) == 2
