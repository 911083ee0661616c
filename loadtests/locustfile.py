"""What Locust loads: the users, the shape of the plan, and the thresholds at the end."""

import json
import time
from pathlib import Path
from typing import Any

from locust import LoadTestShape, events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from loadtests.plan import read_plan, users_at
from loadtests.thresholds import Seen, broken
from loadtests.users import Chat, Churn, Search, Short, Stream

__all__ = ["Chat", "Churn", "Planned", "Search", "Short", "Stream"]


@events.init_command_line_parser.add_listener
def _arguments(parser: LocustArgumentParser, **_: Any) -> None:
    parser.add_argument("--plan", help="The file that says what to do")
    parser.add_argument("--figures", help="Where to write what was measured")


class Planned(LoadTestShape):
    """As many users as the plan says for this moment."""

    def tick(self) -> tuple[int, float] | None:
        """Asked for once a second."""
        if self.runner is None:
            return None
        return users_at(read_plan(_options(self.runner.environment).plan), time.perf_counter() - self.start_time)


@events.quitting.add_listener
def _judge(environment: Environment, **_: Any) -> None:
    """Tell what was measured, and end with 1 when a threshold was broken."""
    options = _options(environment)
    seen = [
        Seen(
            kind=name,
            method=method,
            requests=entry.num_requests,
            failed=entry.num_failures,
            p50=entry.get_response_time_percentile(0.5) / 1_000,
            p95=entry.get_response_time_percentile(0.95) / 1_000,
            p99=entry.get_response_time_percentile(0.99) / 1_000,
            rate=entry.total_rps,
        )
        for (name, method), entry in sorted(environment.stats.entries.items())
    ]
    failures = sorted({f"{one.name}: {one.error}" for one in environment.stats.errors.values()})
    told = broken(seen, failures, read_plan(options.plan).thresholds)
    figures = {"seen": [one.told() for one in seen], "broken": told, "failures": failures[:20]}
    Path(options.figures).write_text(json.dumps(figures, indent=1), "utf-8")
    environment.process_exit_code = 1 if told else 0


def _options(environment: Environment) -> Any:
    """Those of the command line; there are none where Locust is used as a library."""
    return environment.parsed_options
