"""Random callers, access lists and texts, from a seed; each text has a word that no other one has."""

import random
from collections.abc import Sequence
from datetime import date, timedelta

from tests.proofs.oracle import App, Lists, Paper, Who

GROUPS = [f"g{n}" for n in range(50)]
SUBJECTS = [f"u{n}" for n in range(20)]
WORDS = [f"word{n}" for n in range(60)]
CATEGORIES = ["policy", "news", "handbook"]
SECTION = 10  # words; a chunk of a recipe whose budget is above it and below twice as many


def text(rng: random.Random, sections: int) -> str:
    """Paragraphs of one chunk each, which hold a word that no other text has."""
    mark = f"zq{rng.getrandbits(64):016x}"
    return "\n\n".join(" ".join([mark, *rng.choices(WORDS, k=SECTION - 1)]) for _ in range(sections))


def lists(rng: random.Random, groups: Sequence[str] = GROUPS, most: int = 12) -> Lists:
    """At least one reader, some denied."""
    grants = [f"group:{one}" for one in groups] + [f"user:{one}" for one in SUBJECTS]
    allow = rng.sample(grants, rng.randint(1, most))
    return Lists(frozenset(allow), frozenset(rng.sample(grants, rng.randint(0, 2)) if rng.random() < 0.3 else ()))


def who(rng: random.Random, tenants: Sequence[str], groups: Sequence[str] = GROUPS) -> Who:
    """Somebody with none to all of the groups."""
    held = rng.sample(groups, rng.randint(0, len(groups)))
    subject = rng.choice([*SUBJECTS, "stranger"])
    through = app(rng, subject, groups) if rng.random() < 0.3 else None
    return Who(rng.choice(tenants), subject, frozenset(held), through)


def app(rng: random.Random, subject: str, groups: Sequence[str] = GROUPS) -> App:
    """One that reaches some groups, and now and then what is shared with its user by name."""
    reached = {f"group:{one}" for one in rng.sample(groups, rng.randint(0, len(groups)))}
    names = {f"user:{rng.choice(SUBJECTS)}", *(f"group:{one}" for one in rng.sample(groups, rng.randint(0, 2)))}
    return App(frozenset(names), frozenset(reached | ({f"user:{subject}"} if rng.random() < 0.5 else set())))


def question(rng: random.Random) -> str:
    """A few words that many documents have."""
    return " ".join(rng.sample(WORDS, 3))


def paper(rng: random.Random, today: date, others: Sequence[str], sections: int) -> Paper:
    """Mostly plain; now and then one that replaces another document, or that expires."""
    supersedes = rng.choice(others) if others and rng.random() < 0.1 else None
    expires = today + timedelta(days=rng.choice([-1, 0, 2, 400])) if rng.random() < 0.15 else None
    updated = date(2026, 1, 1) + timedelta(days=rng.randrange(300)) if rng.random() < 0.7 else None
    return Paper(text(rng, sections), rng.choice([*CATEGORIES, None]), updated, supersedes, expires)
