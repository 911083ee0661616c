"""The marker filter: what it removes, what it leaves, and that the split of the stream makes no difference."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serving.markers import MarkerFilter, blank_markers, find_markers, strip_markers

VALID = frozenset({1, 2, 3})


def filtered(*pieces: str) -> tuple[str, int]:
    markers = MarkerFilter(VALID)
    text = "".join([*map(markers.feed, pieces), markers.flush()])
    return text, markers.removed


@pytest.mark.parametrize(
    ("text", "expected", "removed"),
    [
        ("45 days [1].", "45 days [1].", 0),
        ("45 days [9].", "45 days.", 1),
        ("45 days[9].", "45 days.", 1),
        ("[9] 45 days", " 45 days", 1),
        ("45 days [1, 2] more", "45 days [1, 2] more", 0),
        ("45 days [1, 9] more", "45 days [1] more", 1),
        ("45 days [9, 8] more", "45 days more", 2),
        ("45 days [1][2].", "45 days [1][2].", 0),
        ("45 days [9][2].", "45 days [2].", 1),
        ("45 days [1][9].", "45 days [1].", 1),
        ("45 days [9] [8], so", "45 days, so", 2),
        ("45 days [9]\nmore", "45 days\nmore", 1),
        ("[sic] a[0] [2026] [x](url) [] [1-3] [01] [1,] [", "[sic] a[0] [2026] [x](url) [] [1-3] [01] [1,] [", 0),
        ("[[9]] [[1] [1[9]2]", "[?] [[1] [1?2]", 2),
        ("two  spaces [9] end ", "two  spaces end ", 1),
    ],
)
def test_what_is_removed(text: str, expected: str, removed: int) -> None:
    assert filtered(text) == (expected, removed)


@given(st.text("[]19, 02a.\n", max_size=24), st.data())
@example("a [9] [1]", None)
def test_every_split_gives_the_same(text: str, data: st.DataObject | None) -> None:
    whole = filtered(text)
    assert filtered(*text) == whole
    if data is not None:
        cut = data.draw(st.integers(0, len(text)))
        assert filtered(text[:cut], text[cut:]) == whole


@given(st.text("[]19, 02a.\n", max_size=24))
def test_no_marker_that_points_nowhere_is_left(text: str) -> None:
    left = [number for marker in find_markers(filtered(text)[0]) for number in marker.numbers]
    assert set(left) <= VALID


@given(st.text(max_size=60))
def test_text_without_brackets_passes_unchanged(text: str) -> None:
    plain = text.replace("[", "(")
    assert filtered(plain) == (plain, 0)


def test_text_is_passed_on_at_once() -> None:
    markers = MarkerFilter(VALID)
    assert markers.feed("45 days") == "45 days"
    assert markers.feed(" [1") == ""
    assert markers.feed("] so") == " [1] so"


def test_markers_are_found_with_their_place() -> None:
    assert [(m.start, m.end, m.numbers) for m in find_markers("a [1] b [2, 3]")] == [(2, 5, (1,)), (8, 14, (2, 3))]


def test_blanking_keeps_every_place_and_stripping_does_not() -> None:
    assert blank_markers("a [1], b") == "a    , b"
    assert strip_markers("a [1], b [sic]") == "a, b [sic]"
