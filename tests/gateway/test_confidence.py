"""How much is enough belongs to the index version that answers: it flips with its pin, and is told with the answer."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.typing import EventDict

from deploy.keys import create_key
from deploy.pins import Pin
from gateway.policy import confidence_in, enough_evidence
from retrieval.catalog import Catalog
from tests.gateway.house import REFUND, REFUND_QUESTION, House, events, make_house, pinned_recipe
from tests.gateway.test_decisions import findings
from tests.gateway.test_release import FORCED, OTHER, STABLE, build, flip, gateway
from tests.retrieval.samples import calibration

SURE, NEVER = 0.05, 0.99
CALLERS = {"chooser": ["ask", "release:override"], "root": ["admin"]}


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Not open yet, with a second index version described."""
    made = make_house(tmp_path)
    made.model.says(f"{REFUND[:-1]} [1].")
    made.describe(OTHER)
    for name, scopes in CALLERS.items():
        made.keys[name] = create_key(made.settings.keys, tenant="acme", subject=name, groups=["staff"], scopes=scopes)
    return made


def calibrate(house: House, name: str, threshold: float, categories: Mapping[str, float] | None = None) -> None:
    """What `twinpin index calibrate` does in the end, in a process of its own."""

    async def run() -> None:
        async with Catalog.open(house.settings.catalog) as catalog:
            await catalog.calibrate(calibration(name, threshold, categories))

    asyncio.run(run())


def told(house: House, caller: str = "ana", **headers: str) -> tuple[str, str | None, dict[str, Any]]:
    answer = house.post("/v1/answer", {"question": REFUND_QUESTION}, caller, **headers).json()
    return answer["status"], answer["reason"], answer["confidence"]


def test_a_flip_of_the_pin_flips_the_threshold_and_a_rollback_brings_it_back(house: House) -> None:
    with gateway(house):
        build(house, OTHER)
        calibrate(house, OTHER.name, NEVER)
        status, reason, before = told(house)
        assert (status, reason) == ("answered", None)
        assert (before["threshold"], before["probability"]) == (STABLE.abstain_below, None)
        flip(house, Pin(OTHER.name, previous=STABLE.name))
        status, reason, after = told(house)
        assert (status, reason, after["threshold"]) == ("abstained", "below_threshold", NEVER)
        assert after["probability"] == pytest.approx(1 / (1 + 2.718281828 ** (5 - 10 * after["value"])), abs=1e-3)
        flip(house, Pin(STABLE.name, candidate=OTHER.name))
        assert told(house) == ("answered", None, before)
        assert told(house, "chooser", **FORCED)[:2] == ("abstained", "below_threshold")


def test_a_version_that_is_open_keeps_the_calibration_it_was_opened_with(house: House, logged: list[EventDict]) -> None:
    """A flip of the other pin, or of another version, must change nothing of this one."""
    with gateway(house):
        build(house, OTHER)
        (warned,) = [one for one in logged if one["event"] == "index_not_calibrated"]
        assert (warned["index"], warned["threshold"]) == (STABLE.name, STABLE.abstain_below)
        calibrate(house, STABLE.name, NEVER)
        flip(house, Pin(STABLE.name, candidate=OTHER.name))
        assert told(house)[0] == "answered"
    logged.clear()
    with gateway(house):
        assert told(house)[:2] == ("abstained", "below_threshold"), "a start takes it up"
        assert [one["index"] for one in logged if one["event"] == "index_not_calibrated"] == [OTHER.name]


def test_the_best_passages_category_may_have_a_threshold_of_its_own(house: House) -> None:
    with gateway(house):
        build(house, OTHER)
    calibrate(house, STABLE.name, SURE, {"policy": NEVER})
    with gateway(house):
        assert told(house)[2]["threshold"] == NEVER
        handbook = house.ask("How many days of annual leave does every employee have?").json()
        assert (handbook["status"] != "abstained", handbook["confidence"]["threshold"]) == (True, SURE)


def test_every_wire_and_the_record_tell_the_same_confidence(house: House, logged: list[EventDict]) -> None:
    with gateway(house):
        confidence = told(house)[2]
        assert confidence.keys() == {"value", "threshold", "probability"}
        line = next(one for one in reversed(logged) if one["event"] == "answer")
        assert (line["confidence"], line["threshold"]) == (confidence["value"], confidence["threshold"])
        streamed = house.ask(stream=True).content
        assert next(one.data["confidence"] for one in events(streamed) if one.name == "verdict") == confidence
        assert house.chat().json()["twinpin"]["confidence"] == confidence
        nothing = house.ask(caller="eve").json()
        assert nothing["reason"] == "no_hits"
        assert nothing["confidence"] == {"value": 0.0, "threshold": STABLE.abstain_below, "probability": None}


def test_a_seal_for_another_version_stops_it_from_taking_traffic(house: House) -> None:
    with gateway(house):
        build(house, OTHER)
        _seal_wrongly(house)
        flip(house, Pin(OTHER.name))
        assert told(house)[2]["threshold"] == STABLE.abstain_below, "what was in force stays"
        refused = house.client.get("/v1/release", headers=house.headers("root")).json()["refused"]
        assert "failed its pre-flight" in refused["reason"]
        assert "calibrated for this version" in refused["detail"]


def _seal_wrongly(house: House) -> None:
    async def run() -> None:
        async with Catalog.open(house.settings.catalog) as catalog:
            sealed = next(one for one in await catalog.seals() if one.manifest.name == OTHER.name)
            foreign = calibration(STABLE.name, SURE)
            await catalog.seal(msgspec.structs.replace(sealed.manifest, calibration=foreign), sealed.place)

    asyncio.run(run())


@pytest.mark.parametrize(("value", "reason"), [(0.49, "below_threshold"), (0.5, None)])
def test_a_confidence_at_the_threshold_is_enough(value: float, reason: str | None) -> None:
    found = findings(value)
    decided = confidence_in(found, pinned_recipe(), calibration(pinned_recipe().name, 0.5))
    assert enough_evidence(found, decided) == reason
    assert decided.probability == pytest.approx(0.5, abs=0.05)
