"""Two hundred tokens and more that nobody should believe, and that nobody does."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from starlette.testclient import TestClient

from gateway.app import create_app
from tests.gateway.forging import forgeries
from tests.gateway.house import House, make_house, opening
from tests.gateway.issuer import Issuer, entry, made, served, write_identity


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Issuer, Issuer]]:
    """A gateway that takes the tokens of two issuers, of the second for another audience."""
    folder = tmp_path_factory.mktemp("forgeries")
    keys = {"first": ("ES256", made("P-256")), "second": ("RS256", made("RSA"))}
    with ExitStack() as stack:
        issuer = stack.enter_context(served(Issuer(keys=keys)))
        other = stack.enter_context(served(Issuer(keys={"first": ("ES256", made("P-256", 1))})))
        tenant = {"tenant": {"fixed": "other"}, "audience": ["elsewhere"]}
        identity = write_identity(folder / "identity.yaml", entry(issuer), entry(other, **tenant))
        house = make_house(folder, identity=identity)
        house.app = create_app(house.settings, opening(house))
        house.client = stack.enter_context(TestClient(house.app))
        yield house, issuer, other


def status(house: House, token: str) -> int:
    headers = {"authorization": f"Bearer {token}".encode()}
    return house.client.get("/v1/models", headers=headers).status_code  # type: ignore[arg-type]  # raw, as sent


def for_a_user(house: House, token: str) -> int:
    """The same token, as an app would send it for its user."""
    headers = {"authorization": f"Bearer {house.keys['asker']}".encode(), "x-twinpin-user-token": token.encode()}
    return house.client.get("/v1/models", headers=headers).status_code  # type: ignore[arg-type]  # raw, as sent


def test_none_of_them_is_accepted(stage: tuple[House, Issuer, Issuer]) -> None:
    house, issuer, other = stage
    forged = dict(forgeries(issuer, other))
    assert len(forged) >= 200
    assert {name for name, token in forged.items() if status(house, token) != 401} == set()
    assert {name for name, token in forged.items() if for_a_user(house, token) != 401} == set()


def test_what_is_not_forged_is_accepted(stage: tuple[House, Issuer, Issuer]) -> None:
    """The control: what the forgeries start from counts, before and after one of them was refused."""
    house, issuer, other = stage
    good = [issuer.token(), issuer.token("second"), other.token(aud="elsewhere"), issuer.token(aud=["x", "twinpin"])]
    assert [status(house, token) for token in good] == [200] * len(good)
    assert for_a_user(house, good[0]) == 200
    assert status(house, f"{good[0]}x") == 401
    assert status(house, good[0]) == 200
