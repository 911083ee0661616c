"""What repeats another passage is one with it, what states another fact never is, and the newest answers for all."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import pytest

from retrieval.catalog import Passage
from retrieval.passages.duplicates import Groups
from retrieval.store import ChunkRef


@dataclass(frozen=True)
class Item:
    """A passage as finding scored it."""

    passage: Passage
    score: float


def item(name: str, text: str, *, updated: date | None = None, score: float = 1.0, start: int = 0) -> Item:
    ref = ChunkRef(name, "sha256:0", start, start + len(text), (), None)
    return Item(Passage(ref, "title", "source", None, updated, text), score)


def merged(items: Sequence[Item], threshold: float = 0.9) -> list[tuple[str, str]]:
    """Per group: the best, and the one that answers."""
    groups = Groups[Item](threshold)
    for one in items:
        groups.add(one)
    pairs = [(best.passage.ref.document, shown.passage.ref.document) for best, shown in groups.merged()]
    assert len(pairs) == len(groups)
    return pairs


def repeats(one: str, other: str) -> bool:
    both = [len(merged(order)) == 1 for order in itertools.permutations([item("a", one), item("b", other)])]
    assert both[0] == both[1]
    return both[0]


FILLER = " ".join(f"{chr(97 + n % 26)}{chr(98 + n % 7)}{chr(99 + n // 13)}" for n in range(80))


@pytest.mark.parametrize(
    "other",
    [
        "Refunds are paid within 45 days",
        "REFUNDS ARE PAID WITHIN 45 DAYS!",
        "  Refunds\n\nare   paid\twithin 45 days.",
        "**Refunds** are “paid” \u2013 within 45 days…",
        "Refunds are paid within \uff14\uff15 days",
        "Re\u00adfunds are paid within 45\u00a0days\u200b",
        "\uff32\uff45\uff46\uff55\uff4e\uff44\uff53 are paid within 45 days",
    ],
)
def test_case_white_space_punctuation_and_ways_of_writing_do_not_matter(other: str) -> None:
    assert repeats("Refunds are paid within 45 days.", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It doesn\u2019t apply", "It doesn't apply"),
        ("the café", "the cafe\u0301"),
        ("well-known rules", "well known rules"),
        ("9\u201317", "9-17"),
        ("***", "---"),
    ],
)
def test_two_ways_to_write_the_same_are_the_same(one: str, other: str) -> None:
    assert repeats(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("at -5 degrees", "at 5 degrees"),
        ("at \u22125 degrees", "at 5 degrees"),
        ("10⁵ pieces", "105 pieces"),
        ("CO₂ and 1½ litres", "CO₂ and 11/2 litres"),
        ("1.5 pounds", "15 pounds"),
        ("1,500 pounds", "1.500 pounds"),
        ("<5 days", ">5 days"),
        ("$5 a day", "€5 a day"),
        ("5% a day", "5‰ a day"),
        ("2026-11-21", "2026-11-12"),
        ("it does apply", "it doesn't apply"),
        ("की", "का"),
    ],
)
def test_signs_that_change_what_is_said_are_no_punctuation(one: str, other: str) -> None:
    assert not repeats(one, other)
    assert not repeats(f"{FILLER} {one} {FILLER}", f"{FILLER} {other} {FILLER}")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("you may ask for it", "you can ask for it"),
        ("you may ask for it", "you may, of course, ask for it"),
        ("you may ask for it", "you may ask"),
        ("Nothing else. The bill is due", "Nothing else. the bill will be due"),
    ],
)
def test_a_few_other_words_make_no_other_passage(one: str, other: str) -> None:
    assert repeats(f"In the {FILLER} {one} {FILLER}", f"In the {FILLER} {other} {FILLER}")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("within 45 days", "within 90 days"),
        ("within 45 days", "within 45 weeks"),
        ("within 45 days", "within days"),
        ("paid by Northline", "paid by Halvorsen"),
        ("paid. Northline pays", "paid. Halvorsen pays"),
        ("- Northline: none\n", "- Halvorsen: none\n"),
        ("the SFTP server", "the FTPS server"),
        ("the B2B plan", "the B2C plan"),
        ("you may share it", "you may not share it"),
        ("with a deposit", "without a deposit"),
        ("Ana pays 5, Ben pays 7", "Ana pays 7, Ben pays 5"),
        ("of Ana and Ben: Ana owes Ben", "of Ana and Ben: Ben owes Ana"),
        ("Sie dürfen es teilen", "Sie dürfen es nicht teilen"),
    ],
)
def test_another_figure_name_or_negation_is_another_fact(one: str, other: str) -> None:
    shown = f"In the {FILLER} {one} {FILLER}", f"In the {FILLER} {other} {FILLER}"
    assert not repeats(*shown)
    assert repeats(shown[0], shown[0].replace("In the", "In a")), "the control"


def test_what_shares_too_little_stays() -> None:
    words = FILLER.split()
    assert repeats(FILLER, " ".join([*words[:40], "other", *words[41:]]))
    assert not repeats(FILLER, " ".join([*words[:20], "other", *words[21:60], "another", *words[61:]]))


def test_nearness_is_the_share_of_three_word_sequences() -> None:
    """Against the definition itself: what sorts pairs out early may sort out nothing else."""
    rng = random.Random(3)
    words = [f"w{chr(97 + a)}{chr(97 + b)}" for a in range(8) for b in range(8)]
    found = {True: 0, False: 0}
    for _ in range(1_500):
        one = rng.choices(words, k=rng.randint(3, 60))
        other = list(one)
        for _ in range(rng.randint(0, 3)):
            place = rng.randrange(len(other))
            other[place : place + rng.randint(0, 1)] = rng.choices(words, k=rng.randint(0, 2))
        threshold = rng.choice([0.5, 0.7, 0.9])
        due = one == other or share(one, other) >= threshold
        assert (len(merged([item("a", " ".join(one)), item("b", " ".join(other))], threshold)) == 1) == due
        found[due] += 1
    assert min(found.values()) > 200


def share(one: list[str], other: list[str]) -> float:
    mine, theirs = ({tuple(text[n : n + 3]) for n in range(len(text) - 2)} for text in (one, other))
    return len(mine & theirs) / len(mine | theirs) if mine and theirs else 0.0


def test_with_a_threshold_of_zero_everything_stays() -> None:
    assert len(merged([item("a", "the same"), item("b", "the same")], 0.0)) == 2


def test_stretches_of_one_document_that_overlap_do_not_repeat_each_other() -> None:
    words = FILLER.split()
    near = " ".join([*words[:40], "other", *words[41:]])
    assert len(merged([item("doc", FILLER), item("doc", near, start=30)])) == 2
    assert len(merged([item("doc", FILLER), item("doc", near, start=9_000)])) == 1
    assert len(merged([item("doc", FILLER), item("doc", f"{FILLER}\n", start=-1)])) == 1, "unless the text is equal"


OLD, NEW = date(2024, 1, 1), date(2026, 1, 1)


@pytest.mark.parametrize(
    ("items", "shown"),
    [
        ([item("old", "t", updated=OLD, score=2.0), item("new", "t", updated=NEW)], ("old", "new")),
        ([item("none", "t", score=2.0), item("old", "t", updated=OLD)], ("none", "old")),
        ([item("less", "t", updated=NEW), item("more", "t", updated=NEW, score=2.0)], ("more", "more")),
        ([item("b", "t"), item("a", "t")], ("a", "a")),
        ([item("b", "t", score=2.0), item("a", "t")], ("b", "b")),
    ],
)
def test_the_newest_answers_then_the_better_then_the_first_by_id(items: list[Item], shown: tuple[str, str]) -> None:
    for order in itertools.permutations(items):
        assert merged(order) == [shown]


def test_the_order_in_which_passages_come_does_not_matter() -> None:
    words = FILLER.split()
    middle = item("middle", " ".join([*words[:20], "x", *words[21:]]), score=3.0)
    items = [
        item("left", FILLER, score=2.0, updated=OLD),
        middle,
        item("right", " ".join([*words[:20], "x", *words[21:60], "y", *words[61:]]), score=1.0, updated=NEW),
        item("other", "something else", score=2.5),
    ]
    assert len(merged([items[0], items[2]])) == 2, "the control: only the one in the middle connects them"
    for order in itertools.permutations(items):
        assert merged(order) == [("middle", "right"), ("other", "other")]
