"""The order of passages: each once, as many as can be as they were served before; bounded, and apart by salt."""

from collections.abc import Sequence
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from serving.prefixes import Served

SALT, OTHER = "5a17" * 16, "0712" * 16
PASSAGES = st.lists(st.sampled_from([b"a", b"b", b"c", b"d", b"e"]), unique=True, max_size=5)
HISTORY = st.lists(PASSAGES, max_size=6)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 5.0

    def __call__(self) -> float:
        return self.now


def served(history: Sequence[Sequence[bytes]], most: int = 1_000, clock: Clock | None = None) -> Served:
    made = Served(most, 60.0, clock or Clock())
    for passages in history:
        made.serve(SALT, passages)
    return made


def shown(kept: Served, passages: Sequence[bytes], salt: str = SALT) -> list[bytes]:
    return [passages[position] for position in kept.order(salt, passages)]


@given(HISTORY, PASSAGES)
def test_an_order_has_each_passage_once_and_is_the_same_whenever_the_same_was_served(
    history: list[list[bytes]], asked: list[bytes]
) -> None:
    order = served(history).order(SALT, asked)
    assert sorted(order) == list(range(len(asked)))
    assert order == served(history).order(SALT, asked)


@given(HISTORY, PASSAGES)
def test_it_begins_with_the_most_that_was_served_and_goes_on_as_found(
    history: list[list[bytes]], asked: list[bytes]
) -> None:
    begun = {tuple(one[:length]) for one in history for length in range(len(one) + 1)}
    longest = max((n for n in range(len(asked) + 1) for one in permutations(asked, n) if one in begun), default=0)
    got = shown(served(history), asked)
    assert longest == 0 or tuple(got[:longest]) in begun
    assert got[longest:] == [one for one in asked if one not in got[:longest]]


@given(HISTORY, PASSAGES)
def test_under_another_salt_nothing_is_known_of_it(history: list[list[bytes]], asked: list[bytes]) -> None:
    assert shown(served(history), asked, OTHER) == asked


def test_of_two_as_long_the_latest_counts() -> None:
    clock = Clock()
    kept = served([[b"b", b"a"], [b"a", b"b"]], clock=clock)
    clock.now += 1.0
    kept.serve(SALT, [b"b", b"a"])
    assert shown(kept, [b"a", b"b", b"c"]) == [b"b", b"a", b"c"]
    clock.now += 1.0
    kept.serve(SALT, [b"a", b"b"])
    assert shown(kept, [b"c", b"b", b"a"]) == [b"a", b"b", b"c"]


def test_the_oldest_goes_first_and_nothing_before_what_begins_with_it() -> None:
    kept = served([[b"a", b"b", b"c"], [b"d", b"e"]], most=3)
    assert len(kept) == 3
    assert shown(kept, [b"c", b"b", b"a"]) == [b"a", b"c", b"b"]
    assert shown(kept, [b"e", b"d"]) == [b"d", b"e"]


def test_what_was_not_used_for_long_does_not_count_and_is_let_go_of() -> None:
    clock = Clock()
    kept = served([[b"a", b"b"]], clock=clock)
    clock.now += 60.0
    assert shown(kept, [b"b", b"a"]) == [b"a", b"b"]
    clock.now += 0.5
    assert shown(kept, [b"b", b"a"]) == [b"b", b"a"]
    kept.serve(SALT, [b"c"])
    assert len(kept) == 1


def test_nothing_of_a_passage_can_be_read_in_what_is_kept() -> None:
    kept = served([[b"the salary band", b"for engineers"]])
    assert all(len(digest) == 16 for digest in kept._last)


def test_many_orders_of_many_passages_are_no_trap() -> None:
    passages = [bytes([n]) for n in range(20)]
    kept = served([], most=20_000)
    for turn in range(20):
        for length in range(1, 20):
            kept.serve(SALT, [*passages[turn:], *passages[:turn]][:length])
    assert sorted(shown(kept, passages)) == passages
