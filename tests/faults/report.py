"""The matrix of faults as a page of the documentation."""

from collections.abc import Mapping
from pathlib import Path

from tests.faults.asking import Outcome
from tests.faults.cells import CELLS, ENDS, LATE, MARGIN, MOMENTS, RESTORED_WITHIN, Cell
from tests.faults.proxy import BYTES_A_SECOND, CLOSE_AFTER, DIRECTIONS, FAULTS, LATENCY
from tests.faults.site import LINKS, SECONDS

_HEAD = f"""# What callers get when a link fails

`make faults` writes this page, of {len(CELLS)} cells. Between the gateway and each of its servers stands a proxy that
spoils what is sent `to` it or comes `from` it: before anything (connections are made anew, through the fault), at the
request (on connections that were open), or during the answer (from its first word on).

| fault | |
|---|---|
| latency | {1000 * LATENCY:g} ms more for each piece |
| bandwidth | {BYTES_A_SECOND // 1024} KiB a second |
| reset | both ends are told that the connection is no more, in place of the next piece |
| black hole | nothing gets through any more, on these connections for ever: no end, no reset |
| slow close | the end of a connection is passed on {CLOSE_AFTER:g} s later |
| garbage | as many random bytes in place of each piece |
| half response | half of the next piece, then the end |

Redis (budgets and kept answers), PostgreSQL and the issuer's HTTP server are real; the engine is the scripted one.
Qdrant is its gRPC interface over qdrant-client's local mode, as no server of it can be installed here: the client, the
channel and what goes over the wire are as with a real one. The embedded store has no link.

**In every cell** an answer that may take {SECONDS:g} s is over within these and {MARGIN:g} s. It is whole and right, or
ends with an error that its link may cause (below), as a status or inside of the stream, without `done`. What was said
until then is the beginning of the right answer. 503 says `Retry-After`. Once the link is mended everything is as it was
within {RESTORED_WITHIN:g} s, by itself; dead connections are left behind. In the end no task, connection, place or
answer at the engine is left over.

| link | what it may cost |
|---|---|
"""
_LEGEND = """
`whole` is the complete answer, then come the seconds it took. `…` is a stream that ended with the error. What is `not
drawn` was not tried in the run that wrote this.
"""


def write_matrix(path: Path, seen: Mapping[Cell, Outcome]) -> None:
    """What is promised, then one table of what was seen for each link."""
    parts = [_HEAD, *map(_promised, LINKS)]
    parts.append(
        "\n`whole` is the complete answer, then come the seconds it took. `…` is a stream that ended with the error.\n"
    )
    columns = [(moment, direction) for moment in MOMENTS for direction in DIRECTIONS]
    for link in LINKS:
        parts.append(f"\n## {link}\n\n| fault | {' | '.join(f'{m}, {d}' for m, d in columns)} |\n|{'---|' * 7}\n")
        for fault in FAULTS:
            cells = (_told(seen.get(Cell(link, fault, direction, moment))) for moment, direction in columns)
            parts.append(f"| {fault} | {' | '.join(cells)} |\n")
    path.write_text("".join(parts), "utf-8")


def _promised(link: str) -> str:
    if link not in ENDS:
        return f"| {link} | nothing, ever |\n"
    error, moments = ENDS[link]
    when = " and ".join(moment for moment in MOMENTS if moment in moments)
    return f"| {link} | {when}: 503 `{error}` or 504 `{LATE}`, by what only slows 504 alone; else nothing |\n"


def _told(outcome: Outcome | None) -> str:
    if outcome is None:
        return "not drawn"
    if outcome.done:
        return f"whole, {outcome.seconds:.1f}"
    return f"{'… ' if outcome.status == 200 else f'{outcome.status} '}`{outcome.code}`, {outcome.seconds:.1f}"
