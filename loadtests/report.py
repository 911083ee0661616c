"""The report of a run: Locust's page with its charts, and beside it a page of what counts, with a picture."""

from collections.abc import Sequence
from html import escape
from typing import Any

from loadtests.watching import Held

_WIDTH, _HEIGHT = 720, 160
_HEAD = "".join(f"<th>{name}</th>" for name in ("request", "number", "failed", "a second", "p50 s", "p95 s", "p99 s"))
_STYLE = """body { font: 15px system-ui; margin: 2rem auto; max-width: 50rem }
td, th { padding: .2rem .8rem; text-align: right } td:first-child, th:first-child { text-align: left }
polyline { fill: none; stroke: #1f6feb; stroke-width: 1.5 }"""


def page(title: str, seen: Sequence[dict[str, Any]], broken: Sequence[str], held: Sequence[Held]) -> str:
    """One HTML page without anything from elsewhere."""
    verdict = "".join(f"<li>{escape(one)}</li>" for one in broken)
    rows = "".join(_row(one) for one in seen)
    memory = [(one.at, one.memory_mib) for one in held]
    descriptors = [(one.at, float(one.descriptors)) for one in held]
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>
<style>{_STYLE}</style>
<h1>{escape(title)}</h1>
<h2>{"Broken" if broken else "All thresholds hold"}</h2><ul>{verdict}</ul>
<table><tr>{_HEAD}</tr>{rows}</table>
<h2>Memory of the gateway, MiB</h2>{_picture(memory)}
<h2>Its open descriptors</h2>{_picture(descriptors)}
<p><a href="locust.html">Response times and users over time</a></p></html>
"""


def _row(seen: dict[str, Any]) -> str:
    cells = (
        f"{seen['method']} {seen['kind']}",
        seen["requests"],
        seen["failed"],
        f"{seen['rate']:.1f}",
        *(f"{seen[name]:.3f}" for name in ("p50", "p95", "p99")),
    )
    return "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>"


def _picture(points: Sequence[tuple[float, float]]) -> str:
    """A line from 0 to the most that was seen."""
    if len(points) < 2:
        return "<p>too short to draw</p>"
    last, most = points[-1][0], max(value for _, value in points) or 1.0
    drawn = " ".join(f"{_WIDTH * at / last:.1f},{_HEIGHT * (1 - value / most):.1f}" for at, value in points)
    box = f'viewBox="0 -4 {_WIDTH} {_HEIGHT + 8}" width="{_WIDTH}" role="img"'
    return f'<svg {box}><polyline points="{drawn}"/></svg><p>most: {most:.0f}, last: {points[-1][1]:.0f}</p>'
