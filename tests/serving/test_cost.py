"""List costs."""

import pytest

from serving.cost import cost_of, list_cost
from serving.generator import Finish
from serving.manifest import Price


def test_a_million_tokens_cost_the_price() -> None:
    price = Price(input=0.5, output=2.0)
    assert list_cost(price, 1_000_000, 0) == pytest.approx(0.5)
    assert list_cost(price, 0, 1_000_000) == pytest.approx(2.0)


def test_a_finish_is_charged_for_all_its_tokens() -> None:
    assert cost_of(Price(input=1.0, output=3.0), Finish("stop", 500, 20, 384)) == pytest.approx(560e-6)
