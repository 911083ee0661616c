"""The corpus that whole answers are timed on: documents in words of the sample, as often as they stand there."""

import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from deploy.sampling import DOCUMENTS

NUMBER, SECTIONS = 1_000, 5
# Words of a section, which become two chunks, and of a sentence.
_SECTION, _SENTENCE = 150, (8, 22)
_WORD = re.compile(r"[^\W\d_]{2,}|\d{1,4}(?![\d.,])")
CALLER, ALONE = "ana", "farah"
# Both are of the sample's callers: one sees the corpus, the other one document of one section.
_RULES = """origin: bench
rules:
  - {match: "**", tenant: tallis, allow: ["group:staff"], category: handbook}
  - {match: "alone.md", tenant: corvane, allow: ["group:clinic"]}
"""


class Prose:
    """Sentences without sense in the words of the sample; the same in every run that asks for the same ones."""

    def __init__(self) -> None:
        self._rng = random.Random(10_000)  # noqa: S311 - synthetic data
        texts = (path.read_text("utf-8") for path in sorted(DOCUMENTS.rglob("*.md")))
        found = Counter(word for text in texts for word in _WORD.findall(text.lower()))
        self._words, self._counts = list(found), list(found.values())

    def document(self, name: str, sections: int = SECTIONS) -> str:
        """Markdown: a title, and sections of one paragraph."""
        parts = (f"## {self.heading()}\n\n{self.paragraph()}\n" for _ in range(sections))
        return "\n".join((f"# {name}: {self.heading()}\n", *parts))

    def heading(self) -> str:
        """Three words."""
        return " ".join(self._some(3)).capitalize()

    def paragraph(self, words: int = _SECTION) -> str:
        """Sentences of as many words, by default what two chunks have."""
        said, left = [], words
        while left > 0:
            sentence = self._some(self._rng.randint(*_SENTENCE))
            said.append(f"{' '.join(sentence).capitalize()}.")
            left -= len(sentence)
        return " ".join(said)

    def subject(self, number: int) -> list[str]:
        """So many different words."""
        return self._rng.sample(self._words, number)

    def questions(self) -> Iterator[str]:
        """Questions of seven words, no two the same."""
        while True:
            yield f"What about {' '.join(self._some(5))}?"

    def _some(self, number: int) -> list[str]:
        return self._rng.choices(self._words, self._counts, k=number)


def write_documents(folder: Path) -> Prose:
    """Write the corpus, with the rules that say who reads what of it; the prose goes on for questions."""
    prose = Prose()
    folder.mkdir()
    (folder / "twinpin.yaml").write_text(_RULES, "utf-8")
    for number in range(NUMBER):
        name = f"document-{number:04}"
        (folder / f"{name}.md").write_text(prose.document(name), "utf-8")
    (folder / "alone.md").write_text(prose.document("alone", 1), "utf-8")
    return prose
