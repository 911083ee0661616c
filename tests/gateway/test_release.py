"""Flips: whole or not at all, seen by nobody who is being answered, remembered across restarts, and never a leak."""

import asyncio
import gc
import math
import shutil
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from httpx2 import Response
from starlette.testclient import TestClient
from structlog.typing import EventDict

from deploy.keys import create_key
from deploy.pinboard import ReleaseConfigError
from deploy.pins import Applied, Pin
from gateway.app import Outside, create_app, open_parts
from gateway.flipping.flip import VersionRefused
from gateway.flipping.lastgood import LastGood
from gateway.flipping.loaded import set_apart
from gateway.flipping.versions import IndexVersions, open_built
from retrieval.acl import Access
from retrieval.catalog import Catalog
from retrieval.embed import HashEmbedder
from retrieval.errors import StoreError, StoreLocked
from retrieval.index import Chunker, IndexRecipe
from retrieval.live import LiveIndex
from retrieval.opening import Place
from retrieval.stores.memory_store import MemoryStore
from tests.gateway.house import (
    CORPUS,
    REFUND,
    REFUND_QUESTION,
    House,
    make_house,
    opening,
    pinned_manifest,
    pinned_recipe,
)
from tests.gateway.test_live import serving, until

STABLE, MODEL = pinned_recipe(), pinned_manifest()
OTHER = msgspec.structs.replace(
    STABLE, label="other", chunker=Chunker(STABLE.chunker.name, 60, "none"), abstain_below=0.0
)
THIRD = msgspec.structs.replace(STABLE, label="third", candidates=10)
WEAKEST = msgspec.structs.replace(OTHER, label="weakest", abstain_weakest=0.3)
OTHER_MODEL = pinned_manifest("second", prompt=replace(MODEL.prompt, system="Answer like a pirate."))
OTHER_WEIGHTS = pinned_manifest("third", base=replace(MODEL.base, digest=f"sha256:{'c2' * 32}"))
CALLERS = {
    "reader": ("acme", ["release:read"]),
    "chooser": ("acme", ["ask", "search", "release:override"]),
    "root": ("acme", ["admin"]),
}
FORCED = {"x-twinpin-index": OTHER.name}


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Not open yet: `gateway` opens it, as often as a test likes."""
    made = make_house(tmp_path)
    made.model.says(f"{REFUND[:-1]} [1].")
    for name, (tenant, scopes) in CALLERS.items():
        key = create_key(made.settings.keys, tenant=tenant, subject=name, groups=["staff"], scopes=scopes)
        made.keys[name] = key
    for version in (OTHER, THIRD, WEAKEST, OTHER_MODEL, OTHER_WEIGHTS):
        made.describe(version)
    return made


@contextmanager
def gateway(house: House) -> Iterator[House]:
    house.app = create_app(house.settings, opening(house))
    with TestClient(house.app) as client:
        house.client = client
        yield house


def build(house: House, recipe: IndexRecipe) -> None:
    """What `twinpin index build` does, in a process of its own."""

    async def run() -> None:
        async with Catalog.open(house.settings.catalog) as catalog:
            index = LiveIndex(recipe, house.stores.setdefault(recipe.name, MemoryStore()), catalog)
            await index.follow()
            await index.seal("memory")

    asyncio.run(run())


def look(house: House) -> None:
    """Let the gateway look at the file now, instead of within half a second."""
    assert house.client.portal is not None
    house.client.portal.call(house.app.state.parts.watch.look)


def flip(house: House, index: Pin | None = None, model: Pin | None = None) -> None:
    house.pin(index or Pin(STABLE.name), model or Pin(MODEL.name))
    look(house)


def shown(house: House, caller: str = "root") -> dict[str, Any]:
    return dict(house.client.get("/v1/release", headers=house.headers(caller)).json())


def states(house: House, axis: str = "index") -> dict[str, str]:
    return {one["name"]: one["state"] for one in shown(house)[axis]["versions"]}


def until_true(condition: Callable[[], bool]) -> None:
    """Ask again and again, for some seconds."""
    for _ in range(1_000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("waited in vain")


def told_last(house: House) -> str:
    """The words by which the model version that was asked last is told what to do."""
    return house.generator.exchanges[-1].request.messages[0].content


def ready_now(house: House) -> Response:
    """What `/readyz` says when it asks again at once."""
    house.readiness._asked = float("-inf")
    return house.client.get("/readyz")


def made_by(house: House, **headers: str) -> tuple[str, str, str]:
    """Which versions answer."""
    answer = house.post("/v1/answer", {"question": REFUND_QUESTION}, "chooser", **headers)
    assert answer.status_code == 200
    assert answer.json()["status"] == "answered"
    told = answer.headers
    versions = answer.json()["versions"]
    assert (told["x-twinpin-index"], told["x-twinpin-model"]) == (versions["index"], versions["model"])
    assert told["x-twinpin-generation"] == str(versions["generation"])
    return versions["index"], versions["model"], told["x-twinpin-generation"]


def test_an_index_is_flipped_and_rolled_back_by_a_line(house: House) -> None:
    with gateway(house):
        build(house, OTHER)
        assert made_by(house) == (STABLE.name, MODEL.name, "1")
        flip(house, Pin(OTHER.name, previous=STABLE.name))
        assert made_by(house) == (OTHER.name, MODEL.name, "2")
        assert states(house) == {OTHER.name: "open", STABLE.name: "open"}
        flip(house, Pin(STABLE.name, previous=OTHER.name))
        assert made_by(house) == (STABLE.name, MODEL.name, "3")


def test_the_file_is_followed_without_being_told(house: House) -> None:
    with gateway(house):
        build(house, OTHER)
        house.pin(Pin(OTHER.name), Pin(MODEL.name))
        until_true(lambda: shown(house)["generation"] == 2)
        assert made_by(house)[0] == OTHER.name


def test_a_link_that_is_moved_to_another_file_is_a_change(house: House) -> None:
    releases = house.settings.releases
    releases.rename(releases.with_name("first"))
    releases.symlink_to("first")
    with gateway(house):
        build(house, OTHER)
        assert made_by(house)[0] == STABLE.name
        link = releases.with_name("next")
        releases.with_name("second").write_text(releases.read_text().replace(STABLE.name, OTHER.name))
        link.symlink_to("second")
        link.replace(releases)
        look(house)
        assert made_by(house)[0] == OTHER.name


def test_what_changed_since_a_version_was_built_is_in_it_when_it_takes_traffic(house: House) -> None:
    with gateway(house):
        build(house, OTHER)
        parts = house.app.state.parts
        assert house.client.portal is not None
        house.client.portal.call(parts.library.documents.delete, "acme", "policies/refunds.md")
        flip(house, Pin(OTHER.name, previous=STABLE.name))
        assert REFUND not in house.search().text
        flip(house, Pin(STABLE.name, previous=OTHER.name))
        assert REFUND not in house.search().text
        (other,) = [one for one in shown(house)["index"]["versions"] if one["name"] == OTHER.name]
        assert other["watermarks"]["acme"]["applied"] == other["watermarks"]["acme"]["sequence"]


def test_previous_and_candidate_follow_what_changes(house: House) -> None:
    with gateway(house):
        build(house, OTHER)
        flip(house, Pin(STABLE.name, candidate=OTHER.name))
        text, access = "Badges are yellow.", {"allow": ["group:staff"]}
        house.keys["writer"] = create_key(
            house.settings.keys, tenant="acme", subject="writer", groups=[], scopes=["documents:write"]
        )
        put = house.client.put(
            "/v1/documents/badges.md", json={"text": text, "access": access}, headers=house.headers("writer")
        )
        assert put.status_code == 201
        assert house.client.portal is not None
        house.client.portal.call(house.app.state.parts.follower.look)
        for headers in ({}, FORCED):
            found = house.post("/v1/search", {"query": "Which colour are badges?"}, "chooser", **headers)
            assert text in found.text


def test_a_model_version_is_flipped_on_its_own_and_shares_the_engine(house: House) -> None:
    with gateway(house):
        flip(house, model=Pin(OTHER_MODEL.name, previous=MODEL.name))
        assert made_by(house) == (STABLE.name, OTHER_MODEL.name, "2")
        assert told_last(house) == OTHER_MODEL.prompt.system
        flip(house, model=Pin(MODEL.name, previous=OTHER_MODEL.name))
        assert made_by(house) == (STABLE.name, MODEL.name, "3")


def break_text(house: House) -> None:
    house.release_as("index: [")


def take_away(house: House) -> None:
    house.settings.releases.unlink()


def name_unknown(house: House) -> None:
    house.pin(Pin("idx-gone-01234567"), Pin(MODEL.name))


def name_unbuilt(house: House) -> None:
    house.pin(Pin(OTHER.name), Pin(MODEL.name))


def name_unbuilt_candidate(house: House) -> None:
    house.pin(Pin(STABLE.name, candidate=OTHER.name), Pin(MODEL.name))


def name_taken(house: House) -> None:
    house.broken[OTHER.name] = StoreLocked("another process has it open: /srv/indexes")
    name_unbuilt(house)


def name_broken(house: House) -> None:
    house.broken[OTHER.name] = StoreError("812 chunks are held, 814 noted")
    name_unbuilt(house)


def name_unserved(house: House) -> None:
    house.pin(Pin(STABLE.name), Pin(OTHER_WEIGHTS.name))


def name_leaking(house: House) -> None:
    """A version whose own access fields show salaries to all staff."""
    build(house, OTHER)
    wider = Access("acme", frozenset({"group:hr", "group:staff"}))
    asyncio.run(house.stores[OTHER.name].describe("hr/salaries.md", wider, "hr", None))
    name_unbuilt(house)


REFUSED = [
    (break_text, "'releases.yaml' is not valid", None),
    (take_away, "there is no 'releases.yaml'", None),
    (name_unknown, "index.stable is 'idx-gone-01234567', which is not described", None),
    (name_unbuilt, f"is not built: run `twinpin index build {OTHER.name}`", OTHER.name),
    (name_unbuilt_candidate, f"is not built: run `twinpin index build {OTHER.name}`", OTHER.name),
    (name_taken, "is open in another process", OTHER.name),
    (name_broken, "cannot be opened or brought up to date", OTHER.name),
    (name_unserved, "is not served by the engine", OTHER_WEIGHTS.name),
]
LEAKING = (name_leaking, f"failed its pre-flight: `twinpin index verify {OTHER.name}`", OTHER.name)


@pytest.mark.parametrize(("spoil", "told", "version"), [*REFUSED, LEAKING])
def test_what_cannot_be_put_in_force_is_refused_whole_and_changes_nothing(
    house: House, logged: list[EventDict], spoil: Any, told: str, version: str | None
) -> None:
    with gateway(house):
        good = house.settings.releases.read_text()
        spoil(house)
        for _ in range(3):
            look(house)
        assert made_by(house) == (STABLE.name, MODEL.name, "1")
        refused = shown(house, "reader")["refused"]["reason"]
        assert told in refused
        listed = {**states(house), **states(house, "model")}
        assert listed == {STABLE.name: "open", MODEL.name: "open"} | ({version: "refused"} if version else {})
        ready = house.client.get("/readyz")
        assert (ready.status_code, ready.json()["release"]) == (200, {"generation": 1, "refused": refused})
        measured = house.metrics()
        assert measured["twinpin_release_config_ok"] == 0
        assert measured["twinpin_release_config_errors_total"] == 1
        assert [line["event"] for line in logged].count("release_refused") == 1
        house.release_as(good)
        look(house)
        assert shown(house)["refused"] is None
        assert house.metrics()["twinpin_release_config_ok"] == 1
        assert made_by(house) == (STABLE.name, MODEL.name, "1")


def follows_on(house: House) -> None:
    """The file is followed, without being told, after what came before."""
    assert ready_now(house).status_code == 200
    house.pin(Pin(OTHER.name), Pin(MODEL.name))
    until_true(lambda: shown(house)["generation"] == 2)
    assert shown(house)["refused"] is None
    assert ready_now(house).json()["checks"]["background"] == "ready"


def test_a_version_that_nothing_can_be_found_in_is_refused_and_others_follow(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HashEmbedder, "compares", property(lambda _: False))
    with gateway(house):
        build(house, WEAKEST)
        build(house, OTHER)
        house.pin(Pin(WEAKEST.name), Pin(MODEL.name))
        until_true(lambda: states(house).get(WEAKEST.name) == "refused")
        assert "does not fit this release" in shown(house)["refused"]["reason"]
        follows_on(house)


def test_a_failure_that_nobody_foresaw_is_a_refusal_and_others_follow(house: House, logged: list[EventDict]) -> None:
    with gateway(house):
        build(house, OTHER)
        house.broken[OTHER.name] = ZeroDivisionError("812 chunks of 'other'")
        for _ in range(3):
            flip(house, Pin(OTHER.name))
        assert made_by(house) == (STABLE.name, MODEL.name, "1")
        assert "812" not in str(shown(house, "reader")["refused"]) + house.client.get("/readyz").text
        assert "ZeroDivisionError: 812 chunks of 'other'" in shown(house)["refused"]["detail"]
        assert house.metrics()["twinpin_release_config_ok"] == 0
        (line,) = [line for line in logged if line["event"] == "release_refused"]
        assert isinstance(line["exc_info"], ZeroDivisionError)
        house.broken.clear()
        follows_on(house)


def test_a_start_that_fails_as_nobody_foresaw_uses_the_last_pins_and_raises_without_them(house: House) -> None:
    with gateway(house):
        build(house, OTHER)
    house.broken[OTHER.name] = ZeroDivisionError("812 chunks")
    house.pin(Pin(OTHER.name), Pin(MODEL.name))
    with gateway(house):
        assert made_by(house) == (STABLE.name, MODEL.name, "1")
        assert "the log says more" in shown(house, "reader")["refused"]["reason"]
        house.broken.clear()
        follows_on(house)
    house.broken[OTHER.name] = ZeroDivisionError("812 chunks")
    house.settings.last_release.unlink()
    with pytest.raises(ZeroDivisionError), gateway(house):
        pytest.fail("it started")


def test_a_version_that_is_out_of_order_does_not_keep_another_from_taking_over(house: House) -> None:
    with gateway(house):
        build(house, OTHER)
        flip(house, Pin(OTHER.name, previous=STABLE.name))

        async def gone(*_: object) -> int:
            raise StoreError("the disk is full")

        house.stores[OTHER.name].count = gone  # type: ignore[method-assign]
        flip(house, Pin(STABLE.name, previous=OTHER.name))
        assert made_by(house) == (STABLE.name, MODEL.name, "3")


def test_what_was_refused_is_tried_again_while_the_file_stays_as_it_is(house: House) -> None:
    with gateway(house):
        flip(house, model=Pin(OTHER_WEIGHTS.name))
        assert made_by(house)[1] == MODEL.name
        house.served.add(OTHER_WEIGHTS.served_name)
        house.app.state.parts.watch.clock = lambda: float("inf")
        look(house)
        assert made_by(house) == (STABLE.name, OTHER_WEIGHTS.name, "2")


def test_who_waits_for_a_slow_version_can_still_roll_back(house: House) -> None:
    with gateway(house):
        build(house, OTHER)
        build(house, THIRD)
        flip(house, Pin(OTHER.name, previous=STABLE.name))
        house.slow[THIRD.name] = asyncio.Event()
        house.pin(Pin(OTHER.name, candidate=THIRD.name), Pin(MODEL.name))
        assert house.client.portal is not None
        waiting = house.client.portal.start_task_soon(house.app.state.parts.watch.look)
        until_true(lambda: states(house).get(THIRD.name) == "catching up")
        flip(house, Pin(STABLE.name, previous=OTHER.name))
        waiting.result()
        assert made_by(house) == (STABLE.name, MODEL.name, "3")
        assert THIRD.name not in states(house)


def test_a_flip_that_is_given_up_while_it_is_written_is_in_force_or_not_written(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LastGood.write

    def given_up(last_good: LastGood, applied: Applied) -> None:
        real(last_good, applied)
        for task in asyncio.all_tasks(loops[0]):
            if "_apply" in repr(task.get_coro()):
                loops[0].call_soon_threadsafe(task.cancel)

    loops: list[asyncio.AbstractEventLoop] = []
    with gateway(house):
        build(house, OTHER)
        assert house.client.portal is not None
        loops.append(house.client.portal.call(_this_loop))
        with monkeypatch.context() as patched:
            patched.setattr(LastGood, "write", given_up)
            flip(house, Pin(OTHER.name, previous=STABLE.name))
        written = LastGood(house.settings.last_release).read()
        assert written is not None
        assert (made_by(house)[0], int(made_by(house)[2])) == (written.pins.index.stable, written.generation)


async def _this_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def forcing(house: House, path: str, caller: str, **headers: str) -> Any:
    messages = [{"role": "user", "content": REFUND_QUESTION}]
    bodies: dict[str, dict[str, Any]] = {
        "/v1/answer": {"question": REFUND_QUESTION},
        "/v1/chat/completions": {"model": "twinpin", "messages": messages},
        "/v1/search": {"query": REFUND_QUESTION},
    }
    return house.post(path, bodies[path], caller, **headers)


PATHS = ["/v1/answer", "/v1/chat/completions", "/v1/search"]


@pytest.mark.parametrize("path", PATHS)
def test_a_caller_with_the_right_to_do_so_chooses_the_version(house: House, path: str) -> None:
    with gateway(house):
        build(house, OTHER)
        flip(house, Pin(STABLE.name, candidate=OTHER.name))
        response = forcing(house, path, "chooser", **FORCED)
        assert response.status_code == 200
        assert response.headers["x-twinpin-index"] == OTHER.name
        told = response.json().get("twinpin", response.json())["versions"]
        assert (told["index"], told["assignment"]["index"]) == (OTHER.name, "TARGETING_MATCH")
        assert told["assignment"].get("model", "DEFAULT") == "DEFAULT"
        assert forcing(house, path, "chooser").headers["x-twinpin-index"] == STABLE.name


def test_either_axis_is_chosen_by_itself(house: House) -> None:
    with gateway(house):
        flip(house, model=Pin(MODEL.name, candidate=OTHER_MODEL.name))
        response = forcing(house, "/v1/answer", "chooser", **{"x-twinpin-model": OTHER_MODEL.name})
        assert response.json()["versions"]["assignment"] == {"index": "DEFAULT", "model": "TARGETING_MATCH"}
        assert told_last(house) == OTHER_MODEL.prompt.system


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", [OTHER.name, STABLE.name, "idx-unknown"])
def test_without_the_scope_nobody_chooses_nor_learns_what_there_is(house: House, path: str, name: str) -> None:
    with gateway(house):
        build(house, OTHER)
        flip(house, Pin(STABLE.name, candidate=OTHER.name))
        response = forcing(house, path, "ana", **{"x-twinpin-index": name})
        assert response.status_code == 403
        assert response.json()["error"]["code"] == "missing_scope"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("axis", ["index", "model"])
def test_a_version_that_is_not_open_is_not_found(house: House, path: str, axis: str) -> None:
    with gateway(house):
        build(house, OTHER)
        header = f"x-twinpin-{axis}"
        name = {"index": OTHER.name, "model": OTHER_MODEL.name}[axis]
        response = forcing(house, path, "chooser", **{header: name})
        assert response.status_code == 404
        error = response.json()["error"]
        assert (error["code"], error["param"], error["type"]) == ("version_not_found", header, "invalid_request_error")
        assert house.generator.exchanges == []


def test_generations_go_on_after_a_restart(house: House) -> None:
    with gateway(house):
        build(house, OTHER)
        flip(house, Pin(OTHER.name))
        assert shown(house)["generation"] == 2
    with gateway(house):
        assert made_by(house) == (OTHER.name, MODEL.name, "2")
    house.pin(Pin(STABLE.name), Pin(MODEL.name))
    with gateway(house):
        assert made_by(house) == (STABLE.name, MODEL.name, "3")


@pytest.mark.parametrize(("spoil", "told", "version"), REFUSED[:-1])
def test_a_start_with_a_file_that_cannot_be_put_in_force_uses_the_last_pins_and_says_so(
    house: House, logged: list[EventDict], spoil: Any, told: str, version: str | None
) -> None:
    with gateway(house):
        assert made_by(house)[2] == "1"
    spoil(house)
    logged.clear()
    with gateway(house):
        assert made_by(house) == (STABLE.name, MODEL.name, "1")
        assert told in shown(house)["refused"]["reason"]
        assert house.metrics()["twinpin_release_config_ok"] == 0
        assert "release_refused" in [line["event"] for line in logged]
        house.broken.clear()
        house.pin(Pin(STABLE.name), Pin(MODEL.name))
        look(house)
        assert shown(house)["refused"] is None


def test_a_start_does_not_ask_the_engine_which_may_be_starting_too(house: House) -> None:
    name_unserved(house)
    with gateway(house):
        assert shown(house)["model"]["stable"] == OTHER_WEIGHTS.name
        assert house.client.get("/readyz").status_code == 503
        house.served.add(OTHER_WEIGHTS.served_name)
        assert ready_now(house).status_code == 200


@pytest.mark.parametrize(("spoil", "told", "version"), REFUSED[:-1])
def test_without_last_pins_such_a_start_is_refused(house: House, spoil: Any, told: str, version: str | None) -> None:
    spoil(house)
    with pytest.raises((ReleaseConfigError, VersionRefused), match=r"releases\.yaml|idx-"), gateway(house):
        pytest.fail("it started")


def test_damaged_last_pins_are_said_to_be_and_not_used(house: House, logged: list[EventDict]) -> None:
    house.settings.last_release.write_text('{"generation": 7')
    with gateway(house):
        assert made_by(house)[2] == "1"
    assert "last_release_unreadable" in [line["event"] for line in logged]


def test_what_is_told_of_the_release_says_nothing_of_other_tenants(house: House) -> None:
    with gateway(house):
        house.broken[OTHER.name] = StoreError("tenant 'other' holds 814 chunks")
        flip(house, Pin(STABLE.name, candidate=OTHER.name))
        mine, all_of_it = shown(house, "reader"), shown(house)
        assert [one["watermarks"].keys() for one in mine["index"]["versions"]] == [{"acme"}, {"acme"}]
        assert "other'" not in str(mine["refused"])
        assert "814" not in str(mine)
        (stable,) = [one for one in all_of_it["index"]["versions"] if one["name"] == STABLE.name]
        sequences = {one.access.tenant: 0 for one in CORPUS}
        for one in CORPUS:
            sequences[one.access.tenant] += 1
        assert {tenant: mark["applied"] for tenant, mark in stable["watermarks"].items()} == sequences
        assert "814 chunks" in all_of_it["refused"]["detail"]
        assert "814" not in house.client.get("/readyz").text


def test_only_who_may_read_it_is_told_of_the_release(house: House) -> None:
    with gateway(house):
        assert house.client.get("/v1/release", headers=house.headers("ana")).status_code == 403
        assert house.client.get("/v1/release").status_code == 401


async def test_an_answer_that_is_under_way_ends_on_the_versions_it_began_with(house: House) -> None:
    async with serving(house) as live:
        await asyncio.to_thread(build, house, OTHER)
        house.model.gate = asyncio.Event()
        asked = asyncio.create_task(live.ask("chooser", stream=True))
        await until(lambda: bool(house.generator.exchanges))
        house.pin(Pin(OTHER.name), Pin(OTHER_MODEL.name))
        await house.app.state.parts.watch.look()
        house.model.gate.set()
        before, after = await asked, await live.ask("chooser")
        assert before.headers["x-twinpin-index"] == STABLE.name
        assert before.headers["x-twinpin-model"] == MODEL.name
        assert "event: done" in before.text
        assert REFUND[:-1] in before.text.replace('"}\n\nevent: delta\ndata: {"text":"', "")
        assert (after.headers["x-twinpin-index"], after.headers["x-twinpin-generation"]) == (OTHER.name, "2")


async def test_a_version_is_closed_when_no_answer_can_be_using_it_and_not_before(tmp_path: Path) -> None:
    now = 0.0
    async with Catalog.open(tmp_path / "catalog.db") as catalog:
        versions = IndexVersions(10.0, lambda: now)
        opened = {recipe.name: LiveIndex(recipe, MemoryStore(), catalog) for recipe in (STABLE, OTHER)}

        def keep(recipe: IndexRecipe) -> None:
            versions.keep({recipe.name: opened[recipe.name]}, Pin(recipe.name))

        keep(STABLE)
        keep(OTHER)
        now = 9.0
        assert [index.name for index in versions.serving()] == [OTHER.name]
        assert {index.name for index in versions.retained()} == {STABLE.name, OTHER.name}
        assert versions.leaving() == []
        keep(STABLE)
        now = 15.0
        assert versions.leaving() == []
        now = 19.0
        assert versions.leaving() == [OTHER.name]
        await versions.close_leaving()
        assert [index.name for index in versions.retained()] == [STABLE.name]
        assert versions.get(OTHER.name) is None


def test_a_version_that_was_there_at_the_start_leaves_memory_too(house: House) -> None:
    """The server sets apart what has been loaded: nobody would look at the circles of references in it again."""
    with gateway(house):
        build(house, OTHER)
        indexes = house.app.state.parts.follower.indexes
        finder = house.app.state.parts.release.current.indexes[STABLE.name].finder
        vars(finder)["circle"] = finder
        held = weakref.ref(finder)
        del finder
        set_apart()
        try:
            assert house.ask().status_code == 200
            flip(house, Pin(OTHER.name))
            assert house.ask().status_code == 200
            assert held() is not None, "the control: an answer may still be using it"
            indexes._clock = lambda: math.inf
            assert house.client.portal is not None
            house.client.portal.call(house.app.state.parts.follower.look)
            assert [one.name for one in indexes.retained()] == [OTHER.name]
            until_true(lambda: held() is None)
        finally:
            gc.unfreeze()


def test_a_task_of_the_background_that_ends_is_missed(
    house: House, logged: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    with gateway(house):
        assert house.client.get("/readyz").status_code == 200

        async def fault() -> bool:
            raise ZeroDivisionError

        (stable,) = house.app.state.parts.follower.indexes.serving()
        monkeypatch.setattr(type(stable), "behind", lambda _: fault())
        until_true(lambda: ready_now(house).status_code == 503)
        assert ready_now(house).json()["checks"]["background"] == "internal_error"
        assert house.ask().status_code == 200
    (line,) = [line for line in logged if line["event"] == "background_task_ended"]
    assert line["task"] == "following"


@contextmanager
def real_store(house: House) -> Iterator[TestClient]:
    """The gateway on the embedded engine, with no documents but those that come over HTTP."""
    place, fakes = Place(house.settings.indexes), house.reach(())

    def reach(*_: object) -> Outside:
        return replace(fakes, open_index=lambda recipe, catalog, parser: open_built(recipe, place, catalog, parser))

    app = create_app(house.settings, lambda settings, metrics: open_parts(settings, metrics, reach))
    with TestClient(app) as house.client:
        yield house.client


def test_a_first_start_needs_no_build_and_serves_what_is_put(house: House) -> None:
    key = create_key(house.settings.keys, tenant="acme", subject="w", groups=[], scopes=["documents:write"])
    with real_store(house) as client:
        assert client.get("/readyz").status_code == 200
        assert house.ask().json()["reason"] == "no_hits"
        body = {"text": REFUND, "access": {"allow": ["group:staff"]}}
        put = client.put("/v1/documents/refunds.md", json=body, headers={"authorization": f"Bearer {key}"})
        assert put.status_code == 201
        assert house.ask().json()["status"] == "answered"
    with real_store(house):
        assert house.ask().json()["status"] == "answered"
    shutil.rmtree(house.settings.index_directory(STABLE.name))
    refuses_to_start(house, f"twinpin index build {STABLE.name}")
    house.pin(Pin(OTHER.name), Pin(MODEL.name))
    house.settings.last_release.unlink()
    refuses_to_start(house, f"twinpin index build {OTHER.name}")


def refuses_to_start(house: House, told: str) -> None:
    with pytest.raises(VersionRefused, match=told), real_store(house):
        pytest.fail("it started")
