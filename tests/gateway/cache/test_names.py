"""What answers are held under: everything that decides an answer, and nothing else."""

import random
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from functools import cache
from typing import Any, cast

import pytest

from gateway.answers.exchange import Asked
from gateway.cache.names import Names
from gateway.release import IndexVersion, ModelVersion, ResolvedPins
from retrieval.acl import AccessFilter, Principal, access_filter
from retrieval.search import Finder
from retrieval.store import Narrowing
from serving.generator import Generator, Message
from tests.gateway.house import pinned_manifest, pinned_recipe

PAIRS = 100_000
TODAY = date(2026, 11, 21)
NAMES = Names(b"a secret that only these tests have")
WORDS = [
    "",
    "a",
    "b",
    "ab",
    "a b",
    "a\x1fb",
    "\x1f",
    "user:a",
    "group:a",
    "\x00",
    "ä",
    "null",
    "[]",
    "1",
    "a\nb",
    "refund",
]
MANIFESTS = [pinned_manifest(), pinned_manifest(answer_tokens=64), pinned_manifest(passage_order="best_last")]


@dataclass(frozen=True)
class Case:
    """All that decides an answer."""

    asked: Asked
    principal: Principal
    manifest: int
    day: int

    @property
    def access(self) -> AccessFilter:
        return access_filter(self.principal)

    @property
    def name(self) -> str:
        return NAMES.answer(self.asked, self.access.own_scope, pins(self.manifest), TODAY + timedelta(days=self.day))

    @property
    def decides(self) -> tuple[object, ...]:
        """Its inputs, told apart as Python does; who is called what is left to the access filter."""
        asked, access = self.asked, self.access
        limit = MANIFESTS[self.manifest].answer_tokens
        told = (asked.question, asked.history, asked.narrowing, repr(asked.response_format), asked.retrieval)
        most = min(asked.max_tokens or limit, limit)
        return (*told, most, access.tenant, access.grants, access.denied_as, self.manifest, self.day)


@cache
def pins(manifest: int = 0) -> ResolvedPins:
    index = IndexVersion(pinned_recipe(), cast("Finder", None))
    model = ModelVersion(MANIFESTS[manifest], cast("Generator", None), len)
    return ResolvedPins(index, model, 1, {"index": "DEFAULT", "model": "DEFAULT"})


def principal(rng: random.Random) -> Principal:
    groups = frozenset(rng.sample(WORDS, rng.randint(0, 3)))
    denied = frozenset(f"group:{one}" for one in rng.sample(WORDS, rng.randint(0, 2)))
    return Principal(rng.choice(WORDS), rng.choice(WORDS), groups, frozenset(), denied, by_name=rng.random() < 0.8)


def asked(rng: random.Random) -> Asked:
    turns = [Message(rng.choice(["user", "assistant"]), rng.choice(WORDS)) for _ in range(rng.randint(0, 3))]
    days = [None, None, TODAY, TODAY - timedelta(days=1)]
    narrowing = Narrowing(tuple(rng.choices(WORDS, k=rng.randint(0, 2))), rng.choice(days), rng.choice(days))
    formats: list[Any] = [None, None, {}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": {"b": 2}}, {"type": "json_object"}]
    question = " ".join(rng.choice(WORDS).split()) or "why"
    most = rng.choice([None, 1, 10, 64, 90, 4_000])
    plain = Asked(question, tuple(turns), narrowing, most, rng.choice(formats))
    return replace(plain, retrieval=rng.choice(["auto", "auto", "none"]))


def case(rng: random.Random) -> Case:
    return Case(asked(rng), principal(rng), rng.randrange(len(MANIFESTS)), rng.choice([0, 0, 0, 1]))


def neighbour(one: Case, other: Case, rng: random.Random) -> Case:
    """Nearly the one, and in one place as the other."""
    changes: list[Callable[[], Case]] = [
        lambda: replace(one, principal=other.principal),
        lambda: replace(one, principal=replace(one.principal, groups=other.principal.groups)),
        lambda: replace(one, principal=replace(one.principal, denied_as=other.principal.denied_as)),
        lambda: replace(one, principal=replace(one.principal, tenant=other.principal.tenant)),
        lambda: replace(one, manifest=other.manifest),
        lambda: replace(one, day=other.day),
        *(
            lambda name=field.name: replace(one, asked=replace(one.asked, **{name: getattr(other.asked, name)}))
            for field in fields(Asked)
        ),
    ]
    return rng.choice(changes)()


def test_a_hundred_thousand_pairs_have_one_name_only_where_nothing_decides_otherwise() -> None:
    rng, known, same = random.Random(6), dict[str, tuple[object, ...]](), 0
    cases = [case(rng) for _ in range(PAIRS // 10)]
    for _ in range(PAIRS):
        first, other = rng.choice(cases), rng.choice(cases)
        second = neighbour(first, other, rng)
        told = (first.name, first.decides), (second.name, second.decides)
        assert (told[0][0] == told[1][0]) == (told[0][1] == told[1][1]), (first, second)
        assert all(known.setdefault(name, decides) == decides for name, decides in told)
        same += told[0][0] == told[1][0]
    assert PAIRS / 100 < same < PAIRS / 2, "the control: there are pairs of either kind"


@pytest.mark.parametrize("field", [one.name for one in fields(Asked)])
def test_every_field_of_a_question_decides_but_who_is_talked_to(field: str) -> None:
    """A field that questions get decides, until somebody says that it does not."""
    plain = Asked("why", (), Narrowing())
    others: dict[str, Any] = {
        "question": "why not",
        "history": (Message("user", "why"),),
        "narrowing": Narrowing(("policy",)),
        "max_tokens": 7,
        "response_format": {"type": "json_object"},
        "conversation": "c",
        "user": "u",
        "retrieval": "none",
    }
    mine = access_filter(Principal("acme", "ana", frozenset(), frozenset())).own_scope
    names = [NAMES.answer(one, mine, pins(), TODAY) for one in (plain, replace(plain, **{field: others[field]}))]
    assert (names[0] == names[1]) == (field in ("conversation", "user"))


def test_groups_whose_names_look_like_more_of_them_are_not_those() -> None:
    """Such as a token's issuer may hand out."""
    joined = Principal("acme", "ana", frozenset({"a\x1fgroup:b"}), frozenset())
    apart = Principal("acme", "ana", frozenset({"a", "b"}), frozenset())
    scopes = [access_filter(one).own_scope for one in (joined, apart)]
    assert len({"\x1f".join(one.grants) for one in scopes}) == 1, "the control: joined up they are the same"
    assert len({NAMES.answer(Asked("why", (), Narrowing()), one, pins(), TODAY) for one in scopes}) == 2


def test_what_nobody_means_by_a_question_makes_no_other_one() -> None:
    mine = access_filter(Principal("acme", "ana", frozenset(), frozenset())).own_scope
    forms = ["Wie hoch ist die Gebühr?", "  Wie hoch\tist\n die Gebu\u0308hr? "]
    assert len({NAMES.answer(Asked(one, (), Narrowing()), mine, pins(), TODAY) for one in forms}) == 1
    assert len({NAMES.answer(Asked(one, (), Narrowing()), mine, pins(), TODAY) for one in ("US tax", "us tax")}) == 2


def test_another_secret_makes_other_names_in_which_no_word_stands() -> None:
    mine = access_filter(Principal("acme", "ana", frozenset(), frozenset())).own_scope
    question = Asked("why", (), Narrowing())
    assert NAMES.answer(question, mine, pins(), TODAY) != Names(b"another").answer(question, mine, pins(), TODAY)
    assert NAMES.tenant("acme") != Names(b"another").tenant("acme")
    assert NAMES.document("acme", "x") != NAMES.document("acmex", "")
    assert all(len(name) == 64 for name in (NAMES.tenant("acme"), NAMES.document("acme", "x")))
