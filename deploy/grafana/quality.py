"""How good answers are: verdicts, citations, format, and what finding made of the questions."""

from deploy.grafana.panels import Board, Panel, Query, rate, share

QUALITY = Board(
    "twinpin-quality",
    "Twinpin: answer quality",
    {
        "Verdicts": (
            Panel(
                "Outcomes",
                "The share of each. A jump in abstained or review after a flip is a reason to roll back.",
                (
                    Query(
                        share(
                            rate("answers_total", "outcome"), "ignoring(outcome) group_left " + rate("answers_total")
                        ),
                        "{{outcome}}",
                    ),
                ),
                "percentunit",
                stacked=True,
            ),
            Panel(
                "Abstentions",
                "By reason: no_hits is finding, below_threshold its calibration, ungrounded the model's own words.",
                (Query(rate("answers_total", "reason", 'outcome="abstained"'), "{{reason}}"),),
                "reqps",
                stacked=True,
            ),
            Panel(
                "Unsupported",
                "The share of answers that say something no passage supports.",
                (
                    Query(
                        share(rate("unsupported_answers_total", "model"), rate("answers_total", "model")), "{{model}}"
                    ),
                ),
                "percentunit",
            ),
        ),
        "Citations and format": (
            Panel(
                "Valid citations",
                "Of all markers that a model wrote; the rest pointed nowhere and was removed.",
                (
                    Query(
                        share(rate("citations_total", "model", 'validity="valid"'), rate("citations_total", "model")),
                        "{{model}}",
                    ),
                ),
                "percentunit",
            ),
            Panel(
                "Format compliance",
                "Of answers that had a schema to fit.",
                (
                    Query(
                        share(
                            rate("format_checks_total", "model", 'result="fits"'), rate("format_checks_total", "model")
                        ),
                        "{{model}}",
                    ),
                ),
                "percentunit",
            ),
            Panel(
                "Sanitized answers",
                "Answers in which links, images or HTML were made dead: documents that try to act, where it rises.",
                (Query(rate("sanitized_answers_total", "model"), "{{model}}"),),
                "reqps",
            ),
            Panel(
                "Old evidence",
                "Answers whose best evidence is old by its category's rule: documents want reviewing.",
                (Query(rate("old_evidence_total", "index"), "{{index}}"),),
                "reqps",
            ),
        ),
        "People": (
            Panel(
                "Feedback",
                "What users say of answers: the share that they like.",
                (Query(share(rate("feedback_total", "", 'rating="up"'), rate("feedback_total")), "up"),),
                "percentunit",
            ),
            Panel(
                "What they say is wrong",
                "By failure, of answers that were not liked.",
                (Query(rate("feedback_total", "failure", 'rating="down"'), "{{failure}}"),),
                "reqps",
                stacked=True,
            ),
            Panel(
                "Corrections",
                "Answers for which a user wrote a better one, by model version: questions to learn from.",
                (Query(rate("feedback_total", "model", 'corrected="yes"'), "{{model}}"),),
                "reqps",
            ),
            Panel(
                "Reviews",
                "What reviewers decided.",
                (Query(rate("review_decisions_total", "decision"), "{{decision}}"),),
                "reqps",
                stacked=True,
            ),
        ),
        "Finding": (
            Panel(
                "Misses",
                "Findings without a single passage.",
                (Query(rate("retrieval_misses_total", "index"), "{{index}}"),),
                "reqps",
            ),
            Panel(
                "Dropped after finding",
                "By the catalog (stale), or because another passage says the same (collapsed).",
                (Query(rate("stale_chunks_total"), "stale"), Query(rate("collapsed_passages_total"), "collapsed")),
            ),
            Panel(
                "Follow-ups rewritten",
                "By whose words; a failure is the rule's words where the model's were wanted.",
                (Query(rate("rewrites_total", "by, failure"), "{{by}} {{failure}}"),),
                "reqps",
            ),
            Panel(
                "Documents",
                "Handed in over HTTP, by what became of them.",
                (Query(rate("documents_total", "status"), "{{status}}"),),
                "reqps",
            ),
        ),
    },
)
