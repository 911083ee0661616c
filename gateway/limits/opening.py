"""Opens the limits of a deployment: where they are counted, and the file that they are read from."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gateway.background import Background
from gateway.limits.admission import Limits, Spending
from gateway.limits.budgets import Budgets
from gateway.limits.caps import Caps, InForce, Limited, Unchanging
from gateway.limits.concurrency import Concurrency
from gateway.limits.following import LimitsFile
from gateway.limits.local_budgets import LocalBudgets
from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics


@asynccontextmanager
async def open_limits(
    settings: Settings,
    lease_seconds: float,
    background: Background,
    metrics: Metrics,
    counted: Callable[[str, Spending], None],
    concurrency: Concurrency,
) -> AsyncIterator[Limits]:
    """`lease_seconds` is the longest that a request may be in flight. Raises LimitsRefused, BudgetsUnavailable."""
    in_force = _in_force(settings, background, metrics)
    budgets = _budgets(settings, lease_seconds, background)
    metrics.answers_limit.set_function(lambda: concurrency.limit)
    metrics.budgets_degraded.set_function(lambda: budgets.state == "degraded")
    try:
        yield Limits(in_force, budgets, counted, metrics.budget_refused, concurrency, metrics.overload_refused)
    finally:
        await budgets.close()


def _in_force(settings: Settings, background: Background, metrics: Metrics) -> InForce:
    if settings.limits is None:
        metrics.limits_ok.set(True)
        return Unchanging(Limited(Caps(settings.max_concurrency)))
    file = LimitsFile(settings.limits, settings.max_concurrency, metrics.limits_ok.set)
    background.start("limits", file.run())
    return file


def _budgets(settings: Settings, lease_seconds: float, background: Background) -> Budgets:
    alone = LocalBudgets()
    background.start("budgets", alone.run())
    if settings.redis_url is None:
        return alone
    from gateway.limits.redis_budgets import RedisBudgets
    from gateway.limits.surviving import SurvivingBudgets

    shared = RedisBudgets(settings.redis_url.get_secret_value(), lease_seconds)
    surviving = SurvivingBudgets(shared, alone, settings.redis_lost_share)
    background.start("redis", surviving.run())
    return surviving
