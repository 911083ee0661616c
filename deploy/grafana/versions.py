"""What the two pins name, and what each version does with the answers that it gets."""

from deploy.grafana.panels import Board, Panel, Query, metric, quantiles, rate, share

VERSIONS = Board(
    "twinpin-versions",
    "Twinpin: versions",
    {
        "Pins": (
            Panel(
                "Pinned",
                "How many gateways have each version behind each pin.",
                (Query(f"count by (axis, pin, version) ({metric('pinned_version')})"),),
                "none",
                "table",
                wide=12,
            ),
            Panel(
                "Generation",
                "Rises with each flip; gateways differ while one is on its way.",
                (Query(f"max by (instance) ({metric('release_generation')})", "{{instance}}"),),
                "none",
                wide=6,
            ),
            Panel(
                "releases.yaml in force",
                "0: the file was refused, and what was in force before still is.",
                (
                    Query(f"min({metric('release_config_ok')})", "in force"),
                    Query(f"sum(increase({metric('release_config_errors_total')}[1h]))", "refusals in an hour"),
                ),
                "none",
                "stat",
                wide=6,
            ),
        ),
        "Model versions": (
            Panel(
                "Answers",
                "By model version.",
                (Query(rate("answers_total", "model"), "{{model}}"),),
                "reqps",
                stacked=True,
            ),
            Panel(
                "Answered",
                "The share of answers with a verdict that stands.",
                (
                    Query(
                        share(rate("answers_total", "model", 'outcome="answered"'), rate("answers_total", "model")),
                        "{{model}}",
                    ),
                ),
                "percentunit",
            ),
            Panel("First token, p95", "By model version.", quantiles("first_token_seconds", "model", (0.95,)), "s"),
        ),
        "Index versions": (
            Panel(
                "Answers",
                "By index version.",
                (Query(rate("answers_total", "index"), "{{index}}"),),
                "reqps",
                stacked=True,
            ),
            Panel(
                "Abstained",
                "The share of answers that were refused for want of evidence.",
                (
                    Query(
                        share(rate("answers_total", "index", 'outcome="abstained"'), rate("answers_total", "index")),
                        "{{index}}",
                    ),
                ),
                "percentunit",
            ),
            Panel("Whole answers, p95", "By index version.", quantiles("answer_seconds", "index", (0.95,)), "s"),
            Panel(
                "Requests by both versions",
                "Answers and searches, as the pins drew them.",
                (Query(rate("requests_total", "index, model", 'index!=""'), "{{index}} {{model}}"),),
                "reqps",
                stacked=True,
            ),
        ),
    },
)
