"""What the engine has read for one caller is of use to them again, and to nobody with other permissions."""

from typing import Any

import pytest

from tests.journeys.product import Product

pytestmark = pytest.mark.real_engine

QUESTION = "Tell me, how long does probation last?"


def used(product: Product, caller: str) -> dict[str, Any]:
    usage: dict[str, Any] = product.ask(QUESTION, caller, max_tokens=1)["usage"]
    assert usage["prompt_tokens"] > 100, "the control: the engine was asked"
    return usage


def test_prefixes_are_read_once_within_a_permission_scope_and_anew_across(product: Product) -> None:
    assert used(product, "yuki")["cached_tokens"] == 0
    assert used(product, "yuki")["cached_tokens"] > 0
    assert used(product, "dmitri")["cached_tokens"] == 0, "of other groups"
    assert used(product, "ben")["cached_tokens"] == 0
    assert used(product, "hanneke")["cached_tokens"] == 0, "of the same groups, and another person"
