"""What answers cost by the list, and how the engine's own cost is divided."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.cost import EngineBill, Payer, Tokens, at_most, list_cost, work
from serving.manifest import Price, RewritePrompt, Rewriting
from tests.gateway.house import pinned_manifest

ANA, OSCAR, EVE = Payer("acme", "mdl-a"), Payer("other", "mdl-a"), Payer("other", "mdl-b")
RATE = 0.001


def test_a_million_tokens_cost_the_price() -> None:
    price = Price(input=0.5, output=2.0)
    assert list_cost(price, Tokens(prompt=1_000_000)) == pytest.approx(0.5)
    assert list_cost(price, Tokens(completion=1_000_000)) == pytest.approx(2.0)


def test_cached_tokens_cost_as_much_as_others_and_take_nothing_of_the_engine() -> None:
    price, tokens = Price(input=1.0, output=3.0), Tokens(500, 20, 384)
    assert list_cost(price, tokens) == pytest.approx(560e-6)
    assert work(price, tokens) == pytest.approx(176e-6)


def test_work_that_has_no_price_is_counted_by_tokens() -> None:
    assert work(Price(0.0, 0.0), Tokens(30, 10, 10)) == pytest.approx(3 * work(Price(0.0, 0.0), Tokens(0, 10)))


def test_an_answer_takes_at_most_its_prompts_budget_and_what_it_may_say() -> None:
    manifest = pinned_manifest(context_tokens=2_000, answer_tokens=96)
    assert at_most(manifest, None, rewriting=True) == Tokens(1_904, 96)
    assert at_most(manifest, 10, rewriting=False) == Tokens(1_904, 10)
    assert at_most(manifest, 4_000, rewriting=False) == Tokens(1_904, 96)


def test_a_rewriting_by_the_model_takes_as_much_again() -> None:
    prompt = RewritePrompt("Rewrite.", "{role} {text}", "{turns} {question}")
    manifest = replace(pinned_manifest(), rewrite=Rewriting("model", prompt, tokens=32))
    assert at_most(manifest, 10, rewriting=True) == Tokens(1_904 + 1_968, 42)
    assert at_most(manifest, 10, rewriting=False) == Tokens(1_904, 10)


def test_the_engines_time_is_divided_by_what_it_did_for_each() -> None:
    bill = EngineBill(RATE, now=100.0)
    bill.begin(110.0, ANA)
    bill.did(ANA, 3.0)
    bill.begin(115.0, OSCAR)
    bill.did(OSCAR, 1.0)
    bill.end(120.0, ANA)
    bill.end(130.0, OSCAR)
    idle, shares = bill.close(140.0)
    assert idle == pytest.approx(20 * RATE)
    assert shares == {ANA: pytest.approx(15 * RATE), OSCAR: pytest.approx(5 * RATE)}


def test_while_nothing_is_done_for_anybody_all_in_flight_pay_alike() -> None:
    bill = EngineBill(RATE, now=0.0)
    bill.begin(0.0, ANA)
    bill.begin(0.0, ANA)
    bill.begin(0.0, EVE)
    assert bill.close(6.0).shares == {ANA: pytest.approx(4 * RATE), EVE: pytest.approx(2 * RATE)}
    bill.did(EVE, 1.0)
    assert bill.close(9.0).shares == {EVE: pytest.approx(3 * RATE)}
    for payer in (ANA, ANA, EVE):
        bill.end(9.0, payer)
    assert tuple(bill.close(10.0)) == (pytest.approx(RATE), {})


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "did", "end", "close"]),
        st.sampled_from([ANA, OSCAR, EVE]),
        st.floats(0, 50),
    ),
    max_size=60,
)


@given(EVENTS)
def test_effective_and_idle_cost_are_together_what_the_engine_cost(events: list[tuple[str, Payer, float]]) -> None:
    now, bill, told, flying = 0.0, EngineBill(RATE, now=0.0), 0.0, list[Payer]()
    for kind, payer, amount in [*events, ("close", ANA, 1.0)]:
        now += amount
        match kind:
            case "begin":
                bill.begin(now, payer)
                flying.append(payer)
            case "end" if payer in flying:
                bill.end(now, payer)
                flying.remove(payer)
            case "did" if payer in flying:
                bill.did(payer, amount)
            case "close":
                idle, shares = bill.close(now)
                assert idle >= 0
                assert all(share >= 0 for share in shares.values())
                told += idle + sum(shares.values())
    assert told == pytest.approx(now * RATE)
