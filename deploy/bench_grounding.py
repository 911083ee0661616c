"""What the check of a finished answer costs: ten passages of the sample, eight sentences taken from them."""

import time
from pathlib import Path
from statistics import quantiles

from deploy.sampling import DOCUMENTS
from serving.claims.sentences import split_sentences
from serving.grounding import ground
from serving.manifest import GroundingRule
from serving.prompt import Evidence

PASSAGES, SENTENCES, RUNS, LENGTH = 10, 8, 200, 800


def measure_grounding() -> dict[str, dict[str, float | int]]:
    """Milliseconds of this process's CPU per answer."""
    evidence = [_evidence(n, path.read_text("utf-8")) for n, path in enumerate(_documents(), start=1)]
    answer = " ".join(_sentence(one) for one in evidence[:SENTENCES])
    took = []
    for _ in range(RUNS):
        started = time.process_time()
        ground(answer, evidence, GroundingRule(0.6), "What do the documents say?")
        took.append(1_000 * (time.process_time() - started))
    cuts = quantiles(took, n=100)
    section = f"grounding check, {SENTENCES} sentences against {PASSAGES} passages of {LENGTH} characters"
    return {section: {"CPU p50 ms": cuts[49], "CPU p99 ms": cuts[98]}}


def _documents() -> list[Path]:
    return sorted(DOCUMENTS.rglob("*.md"))[:PASSAGES]


def _evidence(marker: int, text: str) -> Evidence:
    middle = text[LENGTH : 2 * LENGTH]
    return Evidence(marker, f"doc-{marker}", "v", f"Document {marker}", "", (), None, LENGTH, 2 * LENGTH, middle)


def _sentence(evidence: Evidence) -> str:
    spans = [evidence.text[span.start : span.end] for span in split_sentences(evidence.text)]
    return max((said for said in spans if said.endswith(".")), key=len, default="Nothing.")
