"""`make load`: start the stack, let Locust load it, and end with 1 when a threshold is broken."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import get_args

from deploy.keys import create_key
from deploy.local import Stack, StackError
from deploy.sampling import DOCUMENTS, SAMPLE, caller_principals, sample_keys
from deploy.settings import Settings
from loadtests.apart import apart
from loadtests.filling import HELD_BYTES, Filling
from loadtests.plan import KINDS, SPIKE, Plan, Question, Shape, Thresholds, stages
from loadtests.report import page
from loadtests.watching import Watched, growth

_TOKENS, _PAUSE_MS = 64, 2.0
_TENANT = "tallis"
_START, _LONGER = 60.0, 20.0  # seconds that Locust may take before and after what is planned
# Seconds at the 95th percentile. The real engine runs on whatever there is: it is held to answering, not to a pace.
_SCRIPTED = {"answer": 2.0, "chat": 2.0, "stream": 2.0, "first token": 1.5, "search": 1.0, "put": 3.0, "delete": 3.0}
_REAL = {"search": 5.0}
_OF_KIND = {"short": ("answer",), "chat": ("chat",), "stream": ("stream", "first token"), "search": ("search",)}


def main() -> int:
    """Options are those of `python -m loadtests --help`."""
    parser = argparse.ArgumentParser(prog="python -m loadtests", description=__doc__)
    parser.add_argument("kinds", nargs="*", default=list(KINDS), help=f"of {', '.join(KINDS)}; all by default")
    parser.add_argument("--shape", choices=get_args(Shape), default="steady")
    parser.add_argument("--engine", choices=("scripted", "real"), default="scripted")
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--report", type=Path, default=None, help="a folder; by default load-report in the data folder")
    options = parser.parse_args()
    if unknown := sorted(set(options.kinds) - set(KINDS)):
        parser.error(f"there are no users of the kind {', '.join(unknown)}: choose from {', '.join(KINDS)}")
    if options.users < len(options.kinds):
        parser.error(f"{options.users} users cannot be of {len(options.kinds)} kinds: ask for more, or for fewer kinds")
    settings = Settings()
    report = (options.report or settings.data / "load-report").resolve()
    report.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _run(apart(settings, Path(folder)), options, report)
    except StackError as error:
        sys.stderr.write(f"twinpin: {error}\n")
        return 1


def _run(settings: Settings, options: argparse.Namespace, report: Path) -> int:
    with Stack(settings) as stack:
        if options.engine == "real":
            stack.start_engine()
        else:
            stack.make_weights()  # for their tokenizer
            stack.start_scripted_engine(_TOKENS, pause_ms=_PAUSE_MS)
        stack.ingest(DOCUMENTS)
        stack.calibrate()
        soak, plan, file = options.shape == "soak", _plan(settings, options), settings.data / "plan.json"
        stack.serve({"TWINPIN_VECTOR_BYTES": str(HELD_BYTES)} if soak else None)
        plan.write(file)
        if soak:
            _fill(settings, stack, plan)
        with Watched(stack.pid("gateway")) as watched:
            code = _locust(settings, options, file, report)
    figures = json.loads((report / "figures.json").read_text("utf-8"))
    grown = growth(watched.samples) if soak else []
    broken = [*figures["broken"], *figures["failures"], *grown]
    title = f"{options.shape}, {options.users} users, {options.seconds:g} s, {options.engine} engine"
    (report / "index.html").write_text(page(title, figures["seen"], broken, watched.samples), "utf-8")
    for one in broken:
        sys.stderr.write(f"broken: {one}\n")
    sys.stdout.write(f"{title}: {'thresholds are broken' if code or grown else 'all thresholds hold'}, see {report}\n")
    return 1 if code or grown else 0


def _plan(settings: Settings, options: argparse.Namespace) -> Plan:
    golden = (json.loads(line) for line in (SAMPLE / "golden.jsonl").read_text("utf-8").splitlines())
    questions = tuple(Question(one["caller"], one["question"], tuple(one.get("forbidden", ()))) for one in golden)
    patience = SPIKE if options.shape == "spike" else 1  # so many times the users may wait so many times as long
    most = _SCRIPTED if options.engine == "scripted" else _REAL
    wanted = {name for kind in options.kinds for name in _OF_KIND.get(kind, ("put", "delete"))}
    writer = create_key(
        settings.keys,
        tenant=_TENANT,
        subject="load",
        groups=[],
        scopes=["search", "documents:write"],
    )
    return Plan(
        keys={name: key for name, key in sample_keys(settings).items() if name in caller_principals()},
        writer=writer,
        tenant=_TENANT,
        questions=questions,
        stages=stages(options.shape, options.users, options.seconds),
        thresholds=Thresholds(
            {name: patience * seconds for name, seconds in most.items() if name in wanted},
            refused=0.5 if options.shape == "spike" else 0.0,
        ),
    )


def _fill(settings: Settings, stack: Stack, plan: Plan) -> None:
    stack.say("• filling what remembers vectors")
    dimensions = stack.board.recipes[stack.board.pins.index.stable].embedder.dimensions
    Filling(settings.port, sorted(plan.keys.values()), plan.writer, plan.tenant, dimensions).run()


def _locust(settings: Settings, options: argparse.Namespace, plan: Path, report: Path) -> int:
    """Its exit status; it patches the standard library for itself, and so is a process of its own."""
    command = [sys.executable, "-m", "locust", "-f", str(Path(__file__).parent / "locustfile.py"), "--headless"]
    asked = ["--host", settings.url, "--plan", str(plan), "--figures", str(report / "figures.json")]
    shown = ["--html", str(report / "locust.html"), "--only-summary", *(KINDS[kind] for kind in options.kinds)]
    own = Path(__file__).parents[1]  # where these packages are found
    done = subprocess.run(  # noqa: S603 - our own command, no shell
        [*command, *asked, *shown], cwd=own, timeout=options.seconds + _START + _LONGER, check=False
    )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
