"""`make run`: start everything, ask two questions as two callers, say how to go on, serve until Ctrl-C."""

import signal
import sys
import time

from rich.console import Console
from rich.markup import escape

from deploy.client import post
from deploy.local import Stack, StackError
from deploy.results import add_figures
from deploy.sampling import DOCUMENTS, caller_principals, sample_keys
from deploy.settings import Settings
from deploy.showing import show_answer

_CALLERS = ("ana", "farah")
_QUESTIONS = ("When does the lease of Canal Wharf run out?", "Who is our data protection officer?")


def run_demo(settings: Settings, *, began: float, record: str | None) -> int:
    """Serve until Ctrl-C or SIGTERM; 1 when something could not start or did not stay up."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(highlight=False)
    try:
        with Stack(settings, console.print) as stack:
            stack.start_engine()
            stack.ingest(DOCUMENTS)
            stack.calibrate()
            stack.serve()
            ready = time.time() - began
            _ask(console, settings)
            if record is not None:
                _record(record, ready, time.time() - began)
                return 0
            _say_how_to_go_on(console, settings, ready)
            stack.watch()
    except StackError as error:
        sys.stderr.write(f"twinpin: {error}\n")
        return 1
    except KeyboardInterrupt:
        console.print("\nstopped")
    return 0


def _record(name: str, ready: float, answered: float) -> None:
    """Beside the figures of earlier starts under other names."""
    figures = {"seconds until ready": round(ready, 1), "seconds until four answers": round(answered, 1)}
    path = add_figures("start", 'make run ARGS="--record NAME"', {f"start: {name}": figures})
    sys.stdout.write(f"recorded in {path}\n")


def _ask(console: Console, settings: Settings) -> None:
    keys = sample_keys(settings)
    for question in _QUESTIONS:
        for caller in _CALLERS:
            tenant = caller_principals()[caller].tenant
            console.print(f"\n[bold cyan]{caller}[/bold cyan] of {tenant} asks: {escape(question)}")
            show_answer(console, post(settings, "/v1/answer", {"question": question}, key=keys[caller]))


def _say_how_to_go_on(console: Console, settings: Settings, took: float) -> None:
    key, question = sample_keys(settings)["ana"], "Who is our data protection officer?"
    console.print(f"\n[bold]Serving at {settings.url}[/bold] after {took:.0f} s; Ctrl-C stops everything.")
    console.print("Go on in another terminal:\n")
    console.print(
        f'export TWINPIN_API_KEY={key}\n.venv/bin/twinpin ask "{question}"\n\n'
        f'curl {settings.url}/v1/answer -H "Authorization: Bearer $TWINPIN_API_KEY" \\\n'
        f"     -H 'Content-Type: application/json' -d '{{\"question\": \"{question}\"}}'\n\n"
        "from openai import OpenAI\n"
        f'client = OpenAI(base_url="{settings.url}/v1", api_key="{key}")\n'
        f'client.chat.completions.create(model="twinpin", messages=[{{"role": "user", "content": "{question}"}}])',
        markup=False,
        soft_wrap=True,
    )
