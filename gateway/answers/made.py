"""What an answer came to and what it was made from, without who asked for it."""

from dataclasses import dataclass, replace

from gateway.answers.events import Confidence, Verdict
from retrieval.findings import Findings
from serving.rewrite import Rewritten


@dataclass(frozen=True, slots=True)
class Made:
    """`findings` are all passages that were found, those in the prompt among them; None where none were looked for.

    `pieces` are the words as they were passed on, which together are the verdict's answer.
    """

    rewritten: Rewritten
    findings: Findings | None
    confidence: Confidence | None
    pieces: tuple[str, ...]
    verdict: Verdict
    markers_removed: int

    @property
    def documents(self) -> frozenset[str]:
        """Whose words may be in it."""
        return frozenset(one.passage.ref.document for one in self.findings.passages) if self.findings else frozenset()


def unmeasured(findings: Findings | None) -> Findings | None:
    """What was found, without what finding it took and dropped: that is counted once."""
    return findings and replace(findings, timings={}, violations=0, stale=0, collapsed=0)
