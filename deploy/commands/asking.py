"""`twinpin ask`, `twinpin search`: questions to a running gateway."""

from typing import Annotated

import typer

from deploy.client import post
from deploy.commands.printing import AsJson, print_json
from deploy.settings import Settings


def ask(question: str, as_json: AsJson = False) -> None:
    """Ask a question and show the answer with its citations."""
    answer = post(Settings(), "/v1/answer", {"question": question})
    if as_json:
        print_json(answer)
        return
    from rich.console import Console

    from deploy.showing import show_answer

    show_answer(Console(), answer)


def search(query: str, limit: Annotated[int, typer.Option(min=1, max=50)] = 5, as_json: AsJson = False) -> None:
    """Show the passages that would be found, with their scores."""
    found = post(Settings(), "/v1/search", {"query": query, "limit": limit})
    if as_json:
        print_json(found)
        return
    from rich.console import Console

    from deploy.showing import show_passages

    show_passages(Console(), found["passages"])
