"""The service, for those who keep it up: errors, traffic, latency, saturation, parts."""

from deploy.grafana.panels import Board, Panel, Query, metric, quantiles, rate, recorded, share

_V1 = 'route=~"/v1/.+"'

SERVICE = Board(
    "twinpin-service",
    "Twinpin: service",
    {
        "Errors": (
            Panel(
                "Share of errors",
                "5xx and streams that ended with one, refusals left out. The objective is 0.1 %; alerts watch it.",
                (Query(recorded("errors:ratio_rate5m"), "5 min"), Query(recorded("errors:ratio_rate1h"), "1 h")),
                "percentunit",
            ),
            Panel(
                "Error budget left",
                "Of what the objective permits in three days, the share that is not spent. Below 0 it is broken.",
                (Query(f"1 - {recorded('errors:ratio_rate3d')} / 0.001", "3 days"),),
                "percentunit",
                "stat",
            ),
            Panel(
                "Answers that failed",
                "By the error's name: EngineUnavailable is the engine, CatalogError the database.",
                (Query(rate("answers_total", "reason", 'outcome="failed"'), "{{reason}}"),),
                "reqps",
                stacked=True,
            ),
        ),
        "Traffic": (
            Panel(
                "Requests",
                "By route.",
                (Query(rate("requests_total", "route", _V1), "{{route}}"),),
                "reqps",
                stacked=True,
            ),
            Panel(
                "Statuses",
                "429 are limits, 499 clients that left before an answer, 4xx else their own mistakes.",
                (Query(rate("requests_total", "status", _V1), "{{status}}"),),
                "reqps",
                stacked=True,
            ),
            Panel(
                "Methods",
                "GET and POST ask; PUT, PATCH and DELETE change documents.",
                (Query(rate("requests_total", "method"), "{{method}}"),),
                "reqps",
            ),
        ),
        "Latency": (
            Panel(
                "First token",
                "Until the model's first word: rises first under load.",
                quantiles("first_token_seconds"),
                "s",
            ),
            Panel("Between tokens", "What a reader sees of a busy engine.", quantiles("inter_token_seconds"), "s"),
            Panel("Whole answers", "From question to the end.", quantiles("answer_seconds"), "s"),
            Panel(
                "Requests by route",
                "To the last byte; a stream takes as long as its answer.",
                quantiles("request_seconds", "route", (0.95,), _V1),
                "s",
            ),
            Panel("Stages, p95", "Which stage to look at.", quantiles("stage_seconds", "stage", (0.95,)), "s"),
            Panel(
                "Stages, mean",
                "Where the seconds of an answer go. Retrieval is embed, search and pack together, and left out.",
                (
                    Query(
                        share(
                            rate("stage_seconds_sum", "stage", 'stage!="retrieval"'),
                            rate("stage_seconds_count", "stage", 'stage!="retrieval"'),
                        ),
                        "{{stage}}",
                    ),
                ),
                "s",
                stacked=True,
            ),
        ),
        "Saturation": (
            Panel(
                "In flight",
                "Answers wait for the engine; requests that are no answers wait for the catalog.",
                (
                    Query(f"sum({metric('answers_in_flight')})", "answers"),
                    Query(f"sum({metric('requests_in_flight')})", "requests"),
                ),
            ),
            Panel(
                "Answers at once",
                "The limit follows the engine: as many as first words come in time for. At it, others are refused.",
                (
                    Query(f"sum({metric('answers_limit')})", "limit"),
                    Query(f"sum({metric('answers_in_flight')})", "in flight"),
                ),
            ),
            Panel(
                "Refused for want of time",
                "By priority. Batches first; interactive ones for long mean too little engine.",
                (Query(rate("overload_refusals_total", "priority"), "{{priority}}"),),
                "reqps",
                stacked=True,
            ),
            Panel(
                "Refused for a limit",
                "By limit, and whether it is the tenant's or the key's.",
                (Query(rate("budget_refusals_total", "limit, whose"), "{{limit}} {{whose}}"),),
                "reqps",
                stacked=True,
            ),
            Panel(
                "Limits",
                "In force: 0 where limits.yaml was refused. Shared: 0 where Redis is gone.",
                (
                    Query(f"min({metric('limits_config_ok')})", "in force"),
                    Query(f"1 - max({metric('budgets_degraded')})", "shared"),
                ),
                "none",
                "stat",
            ),
            Panel(
                "Kept answers",
                "Hits take nothing of the engine. Many misses as stale: documents change all the time.",
                (Query(rate("cache_answers_total", "outcome, reason"), "{{outcome}} {{reason}}"),),
                "reqps",
                stacked=True,
            ),
            Panel(
                "Answers worth keeping",
                "Of those that were made: kept, or why not. Purged: a document of theirs changed.",
                (
                    Query(rate("cache_writes_total", "result"), "{{result}}"),
                    Query(rate("cache_purged_total"), "purged"),
                ),
                "reqps",
            ),
            Panel(
                "Room of kept answers",
                "In the memory of all processes.",
                (Query(f"sum({metric('cache_bytes')})", "bytes"),),
                "bytes",
            ),
            Panel(
                "Number of kept answers",
                "Of all processes. Shared: 0 where Redis is gone and each has its own.",
                (
                    Query(f"sum({metric('cache_entries')})", "kept"),
                    Query(f"1 - max({metric('cache_degraded')})", "shared"),
                ),
                "none",
                "stat",
            ),
            Panel(
                "Not reranked",
                "Findings that the reranker was too slow for, or away from.",
                (Query(rate("not_reranked_total", "index"), "{{index}}"),),
                "reqps",
            ),
        ),
        "Parts": (
            Panel(
                "Ready",
                "1 where every gateway has the part, 0 where one has lost it.",
                (Query(f"min by (part) ({metric('part_ready')})", "{{part}}"),),
                "none",
            ),
            Panel(
                "Engines out",
                "1 while a gateway does not ask a replica of the engine, as it does not answer.",
                (Query(f"max by (engine) ({metric('engine_out')})", "{{engine}}"),),
                "none",
            ),
            Panel(
                "Sent to the engine again",
                "By what became of the request before; a tenth of all requests at most.",
                (Query(rate("engine_retries_total", "failure"), "{{failure}}"),),
                "reqps",
                stacked=True,
            ),
            Panel(
                "Answers by the fallback",
                "While no engine serves the stable model. Callers are told.",
                (Query(rate("fallback_answers_total", "model"), "{{model}}"),),
                "reqps",
            ),
            Panel(
                "Issuers",
                "By the state of their keys. Stale: as they were last read; unavailable: never read.",
                (Query(f"max by (state) ({metric('identity_issuers')})", "{{state}}"),),
                "none",
            ),
            Panel(
                "Who may call",
                "In force: 0 where a gateway refused the key file or the identity file.",
                (
                    Query(f"min({metric('keys_config_ok')})", "keys"),
                    Query(f"min({metric('identity_config_ok')})", "identity"),
                ),
                "none",
                "stat",
            ),
            Panel(
                "Behind the catalog",
                "Seconds since an index had all changes. New content waits that long; access and deletion do not.",
                (Query(f"max by (index) (time() - {metric('index_followed_timestamp_seconds')})", "{{index}}"),),
                "s",
            ),
            Panel(
                "Records not yet in SQL",
                "Bytes in the spool. Rises while the database is away; full, it refuses records or answers.",
                (Query(f"max by (instance) ({metric('record_spool_bytes')})", "{{instance}}"),),
                "bytes",
            ),
            Panel(
                "Records",
                "Taken by SQL; dropped: answers that nobody can explain; refused: not given, for want of a record.",
                (
                    Query(rate("records_moved_total"), "kept"),
                    Query(rate("records_dropped_total"), "dropped"),
                    Query(rate("records_refused_total"), "refused"),
                ),
                "reqps",
            ),
            Panel(
                "Leak probes",
                "What they saw; `leak` is an incident, and its path is closed.",
                (
                    Query(f"sum by (path, seen) (increase({metric('probes_total')}[1h]))", "{{path}} {{seen}}"),
                    Query(f"max by (path) ({metric('path_closed')})", "{{path}} closed"),
                ),
                "short",
            ),
            Panel(
                "Access violations",
                "Anything above 0 is an incident: an index returned what its own fields forbid.",
                (Query(f"sum by (index) (increase({metric('access_violations_total')}[1h]))", "{{index}}"),),
                "short",
                "stat",
            ),
        ),
    },
)
