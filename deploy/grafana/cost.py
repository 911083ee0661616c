"""What answers cost, and in which tokens, by version and by tenant."""

from deploy.grafana.panels import Board, Panel, Query, rate, share

_DAY = 86_400

COST = Board(
    "twinpin-cost",
    "Twinpin: cost and tokens",
    {
        "Money": (
            Panel(
                "List cost a day",
                "Price per token of each model version, at the rate of now.",
                (Query(f"{_DAY} * {rate('cost_dollars_total', 'model')}", "{{model}}"),),
                "currencyUSD",
                stacked=True,
            ),
            Panel(
                "List cost a day, by tenant",
                "Tenants that TWINPIN_METRIC_TENANTS does not name are `other`.",
                (Query(f"{_DAY} * {rate('tenant_cost_dollars_total', 'tenant')}", "{{tenant}}"),),
                "currencyUSD",
                stacked=True,
            ),
            Panel(
                "List cost of an answer",
                "By model version.",
                (Query(share(rate("cost_dollars_total", "model"), rate("answers_total", "model")), "{{model}}"),),
                "currencyUSD",
            ),
        ),
        "Engine": (
            Panel(
                "Engine cost a day",
                "All that the engine costs: while it works, by model version, and while it has nothing to do.",
                (
                    Query(f"{_DAY} * {rate('effective_cost_dollars_total', 'model')}", "{{model}}"),
                    Query(f"{_DAY} * {rate('idle_cost_dollars_total')}", "idle"),
                ),
                "currencyUSD",
                stacked=True,
            ),
            Panel(
                "Busy",
                "The share of the engine's cost that somebody had something of. Low: the fleet is too large.",
                (
                    Query(
                        share(
                            rate("effective_cost_dollars_total"),
                            f"({rate('effective_cost_dollars_total')} + {rate('idle_cost_dollars_total')})",
                        ),
                        "busy",
                    ),
                ),
                "percentunit",
            ),
            Panel(
                "Effective cost a day, by tenant",
                "Beside list cost it says what the price should be.",
                (Query(f"{_DAY} * {rate('effective_cost_dollars_total', 'tenant')}", "{{tenant}}"),),
                "currencyUSD",
                stacked=True,
            ),
        ),
        "Tokens": (
            Panel(
                "Tokens a second",
                "Cached ones are part of the prompt.",
                (Query(rate("tokens_total", "kind"), "{{kind}}"),),
            ),
            Panel(
                "Prompt tokens from the cache",
                "What the engine had not to read again.",
                (
                    Query(
                        share(
                            rate("tokens_total", "model", 'kind="cached"'),
                            rate("tokens_total", "model", 'kind="prompt"'),
                        ),
                        "{{model}}",
                    ),
                ),
                "percentunit",
            ),
            Panel(
                "Tokens a second, by tenant",
                "Prompt and completion.",
                (Query(rate("tenant_tokens_total", "tenant", 'kind!="cached"'), "{{tenant}}"),),
                stacked=True,
            ),
        ),
        "Tenants": (
            Panel(
                "Answers, by tenant",
                "However they ended.",
                (Query(rate("tenant_answers_total", "tenant"), "{{tenant}}"),),
                "reqps",
                stacked=True,
            ),
        ),
    },
)
