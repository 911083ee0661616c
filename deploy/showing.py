"""How answers and passages look on a terminal."""

from typing import Any

from rich.console import Console
from rich.markup import escape

_SHOWN = 160


def show_answer(console: Console, answer: dict[str, Any]) -> None:
    """The answer, its verdict, its citations and how it was made."""
    status, reason = answer["status"], answer["reason"]
    colour = {"answered": "green", "abstained": "yellow", "review": "magenta"}[status]
    console.print(f"  [bold]{escape(answer['answer'].strip())}[/bold]")
    console.print(f"  [{colour}]{status}[/{colour}]" + (f" ({reason})" if reason else "") + _confidence(answer))
    for citation in answer["citations"]:
        start, end = citation["span"]
        quote = escape(_short(citation["quote"]))
        console.print(f"  \\[{citation['marker']}] {escape(citation['source'])} [dim]characters {start}-{end}[/dim]")
        console.print(
            f"      [italic]{quote}[/italic] [dim]support {citation['support']:.2f}, {citation['origin']}[/dim]"
        )
    for start, end in answer["unsupported"]:
        console.print(f"  [magenta]no passage supports:[/magenta] {escape(_short(answer['answer'][start:end]))}")
    for warning in answer.get("warnings", ()):  # a gateway of an earlier release sends none
        console.print(f"  [yellow]warning:[/yellow] {escape(warning['document'])}: {escape(warning['message'])}")
    versions, timings, usage = answer["versions"], answer["timings"], answer["usage"]
    console.print(
        f"  [dim]{answer['id']}  {versions['index']}  {versions['model']}  {timings['total']:.2f} s"
        f"  {usage['prompt_tokens']} + {usage['completion_tokens']} tokens[/dim]"
    )


def show_passages(console: Console, passages: list[dict[str, Any]]) -> None:
    """Passages, best first."""
    for rank, passage in enumerate(passages, start=1):
        scores = passage["scores"]
        console.print(f"{rank}. [bold]{escape(passage['title'])}[/bold]  {escape(passage['source'])}")
        console.print(f"   {escape(_short(passage['text']))}")
        console.print(
            f"   [dim]fused {scores['fused']:.3f}  dense {scores['dense']:.3f}  bm25 {scores['bm25']:.2f}"
            f"  characters {passage['span'][0]}-{passage['span'][1]}  updated {passage['updated'] or 'unknown'}[/dim]"
            + ("  [yellow]old[/yellow]" if passage.get("old") else "")
        )
    if not passages:
        console.print("nothing found that this caller may see")


def _confidence(answer: dict[str, Any]) -> str:
    """Beside the threshold that decides; a gateway of an earlier release sends none."""
    told = answer.get("confidence")
    return f"  [dim]confidence {told['value']:.2f}, enough from {told['threshold']:.2f}[/dim]" if told else ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
