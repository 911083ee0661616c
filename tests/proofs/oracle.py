"""What a caller may be shown, written from the design: plain dicts without a database or an engine.

Nothing of `retrieval` is imported here, so that a mistake there cannot be made twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TypeAlias

Key: TypeAlias = tuple[str, str]  # tenant, document
KEPT = 20  # rows of a document's history


@dataclass(frozen=True, slots=True)
class App:
    """What asks for a caller: a deny list may call it by its `names`, and it is let in by no grant but `reaches`."""

    names: frozenset[str]
    reaches: frozenset[str]


@dataclass(frozen=True, slots=True)
class Who:
    """A caller."""

    tenant: str
    subject: str
    groups: frozenset[str]
    app: "App | None" = None

    @property
    def names(self) -> frozenset[str]:
        """All that a deny list may call them by, and the app that asks for them."""
        through = self.app.names if self.app else frozenset()
        return through | {f"user:{self.subject}"} | {f"group:{group}" for group in self.groups}

    @property
    def grants(self) -> frozenset[str]:
        """The names that an allow list may call them by: through an app none that it does not reach."""
        mine = {f"user:{self.subject}"} | {f"group:{group}" for group in self.groups}
        return frozenset(mine & self.app.reaches if self.app else mine)


@dataclass(frozen=True, slots=True)
class Lists:
    """Who may read a document: deny wins, and nobody is allowed by silence."""

    allow: frozenset[str]
    deny: frozenset[str] = frozenset()

    def narrower(self, other: "Lists") -> "Lists":
        """What both permit."""
        return Lists(self.allow & other.allow, self.deny | other.deny)


@dataclass(frozen=True, slots=True)
class Paper:
    """A document's content and what was said of it when it was handed in."""

    text: str
    category: str | None = None
    updated: date | None = None
    supersedes: str | None = None
    expires: date | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A document that exists: who may read it, and its papers, oldest first and the current one last."""

    lists: Lists
    papers: tuple[Paper, ...]

    @property
    def paper(self) -> Paper:
        """The current one."""
        return self.papers[-1]

    @property
    def earlier(self) -> Paper | None:
        """What a revert brings back: the last paper with another text."""
        others = [one for one in self.papers[-KEPT:] if one.text != self.paper.text]
        return others[-1] if others else None


@dataclass(slots=True)
class Oracle:
    """All documents of all tenants."""

    today: date
    standing: dict[Key, Standing] = field(default_factory=dict)
    _current: dict[str, dict[str, Standing]] | None = None

    def put(self, key: Key, paper: Paper, lists: Lists) -> None:
        """A document comes, or changes."""
        known = self.standing.get(key)
        if known is None:
            self._stand(key, Standing(lists, (paper,)))
        elif known.paper == paper:
            self._stand(key, replace(known, lists=lists))
        else:
            self._stand(key, Standing(lists, (*known.papers, paper)))

    def grant(self, key: Key, lists: Lists) -> None:
        """A document's readers change, its content does not."""
        self._stand(key, replace(self.standing[key], lists=lists))

    def revert(self, key: Key) -> None:
        """Earlier content comes back as a new paper, with the readers of now."""
        known = self.standing[key]
        assert known.earlier is not None
        self._stand(key, replace(known, papers=(*known.papers, known.earlier)))

    def delete(self, key: Key) -> None:
        """A document goes, with its history."""
        del self.standing[key]
        self._current = None

    def shown(self, who: Who) -> dict[str, Paper]:
        """All that a caller may be shown, by document."""
        mine, names = who.grants, who.names
        return {
            document: one.paper
            for document, one in self.current().get(who.tenant, {}).items()
            if mine & one.lists.allow and not names & one.lists.deny
        }

    def current(self) -> dict[str, dict[str, Standing]]:
        """By tenant and document, what is neither expired nor superseded by another document of its tenant."""
        if self._current is None:
            newer = {(tenant, one.paper.supersedes): name for (tenant, name), one in self.standing.items()}
            self._current = {}
            for (tenant, name), one in self.standing.items():
                past = one.paper.expires is not None and one.paper.expires <= self.today
                if not past and newer.get((tenant, name), name) == name:
                    self._current.setdefault(tenant, {})[name] = one
        return self._current

    def marks(self, key: Key) -> set[str]:
        """Words of a document's papers that no other document has: see `draw.text`."""
        others = (paper for other, one in self.standing.items() if other != key for paper in one.papers)
        return _marks(self.standing[key].papers) - _marks(others)

    def documents(self, tenant: str) -> list[str]:
        """All that a tenant has, shown or not."""
        return sorted(document for owner, document in self.standing if owner == tenant)

    def _stand(self, key: Key, standing: Standing) -> None:
        self.standing[key] = standing
        self._current = None


def _marks(papers: Iterable[Paper]) -> set[str]:
    return {word for paper in papers for word in paper.text.split() if word.startswith("zq")}
