"""What readers ask about a library in which some documents are asked about far more than others, by Zipf's law."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.bench_documents import Prose

DOCUMENTS, SECTIONS = 200, 5
# A section's words are one chunk, and so one passage; half of them are of its document's subject.
_WORDS, _SUBJECT, _ABOUT = 80, 40, 3
_RULES = """origin: bench
rules:
  - {match: "**", tenant: tallis, allow: ["group:staff"], category: handbook}
"""
_OWN_RULE = "  - {{match: {0}.md, tenant: tallis, allow: ['user:{0}']}}\n"


@dataclass(frozen=True, slots=True)
class Document:
    """A title, and sections of a heading and a paragraph each."""

    title: str
    sections: tuple[tuple[str, str], ...]

    def markdown(self) -> str:
        """As it is written down."""
        return "\n".join((f"# {self.title}\n", *(f"## {heading}\n\n{text}\n" for heading, text in self.sections)))


def library() -> list[Document]:
    """The same in every run, the most popular document first; each keeps to its subject and calls it by its name."""
    prose, rng = Prose(), random.Random(300)  # noqa: S311 - synthetic data
    return [_document(number, prose, rng) for number in range(DOCUMENTS)]


def _document(number: int, prose: Prose, rng: random.Random) -> Document:
    subject = prose.subject(_SUBJECT)
    title = f"Handbook {number:03} {' '.join(subject[:2])}"

    def paragraph() -> str:
        words = enumerate(prose.paragraph(_WORDS).split())
        said = (rng.choice(subject) if n % 2 and not word.endswith(".") else word for n, word in words)
        return f"{title}: {' '.join(said)}"

    return Document(title, tuple((" ".join(rng.sample(subject, 2)), paragraph()) for _ in range(SECTIONS)))


def write_library(folder: Path, documents: list[Document], readers: Sequence[str] = ()) -> None:
    """One file each, with the rules that say who reads them; each of `readers` has one of their own beside the rest."""
    folder.mkdir()
    (folder / "twinpin.yaml").write_text("".join((_RULES, *map(_OWN_RULE.format, readers))), "utf-8")
    for reader in readers:
        (folder / f"{reader}.md").write_text(f"# Notes\n\nNothing but the name of {reader}.\n", "utf-8")
    for number, one in enumerate(documents):
        (folder / f"handbook-{number:03}.md").write_text(one.markdown(), "utf-8")


def asked(documents: list[Document], exponent: float) -> Iterator[str]:
    """Questions without end, the same in every run: about the n-th document 1/n^exponent as many as about the first.

    Each names its document and some words of one of its sections, all sections alike: what is found for two questions
    is mostly the same passages, in another order.
    """
    rng = random.Random(200)  # noqa: S311 - synthetic data
    weights = [1 / (number + 1) ** exponent for number in range(len(documents))]
    while True:
        document = rng.choices(documents, weights)[0]
        _, text = rng.choice(document.sections)
        yield f"What does {document.title} say about {' '.join(rng.sample(text.rstrip('.').split(), _ABOUT))}?"
