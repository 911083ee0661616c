"""What a dashboard is made of, and its JSON as Grafana takes it: rows of panels, each with its queries."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

Unit = Literal["short", "percentunit", "s", "reqps", "currencyUSD", "bytes", "none"]
Kind = Literal["timeseries", "stat", "table"]

_WIDTH, _HEIGHT = 24, 8
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and the name of each line that it gives."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """`told` says what to look for. `wide` is in columns, of which a dashboard has 24."""

    title: str
    told: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    kind: Kind = "timeseries"
    stacked: bool = False
    wide: int = 8


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard: rows of panels by their titles."""

    uid: str
    title: str
    rows: dict[str, tuple[Panel, ...]]

    @property
    def panels(self) -> Iterator[Panel]:
        """All of them."""
        for panels in self.rows.values():
            yield from panels

    def render(self) -> dict[str, Any]:
        """The JSON model."""
        return {
            "uid": self.uid,
            "title": self.title,
            "tags": ["twinpin"],
            "schemaVersion": 39,
            "editable": False,
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "templating": {"list": _VARIABLES},
            "panels": list(self._placed()),
        }

    def _placed(self) -> Iterator[dict[str, Any]]:
        ids, top = count(1), 0
        for title, panels in self.rows.items():
            yield {
                "id": next(ids),
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": _place(0, top, _WIDTH, 1),
            }
            left, top = 0, top + 1
            for panel in panels:
                if left + panel.wide > _WIDTH:
                    left, top = 0, top + _HEIGHT
                yield {"id": next(ids), **_panel(panel), "gridPos": _place(left, top, panel.wide, _HEIGHT)}
                left += panel.wide
            top += _HEIGHT


_VARIABLES: list[dict[str, Any]] = [
    {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
    {
        **{"name": "job", "type": "query", "datasource": _SOURCE, "label": "Job", "refresh": 2, "multi": True},
        **{"includeAll": True, "allValue": ".*", "query": "label_values(twinpin_requests_total, job)"},
        "current": {"text": "All", "value": "$__all"},
    },
]


def _place(x: int, y: int, w: int, h: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": w, "h": h}


def _panel(panel: Panel) -> dict[str, Any]:
    custom = {"stacking": {"mode": "normal"}, "fillOpacity": 30} if panel.stacked else {}
    defaults = {"unit": panel.unit, "min": 0, **({"custom": custom} if custom else {})}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.told,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [_target(panel, query, ref) for query, ref in zip(panel.queries, "ABCDEF", strict=False)],
    }


def _target(panel: Panel, query: Query, ref: str) -> dict[str, Any]:
    instant = panel.kind != "timeseries"
    shown = {"format": "table"} if panel.kind == "table" else {"legendFormat": query.legend}
    return {"refId": ref, "datasource": _SOURCE, "expr": query.expr, "instant": instant, "range": not instant, **shown}


def metric(name: str, matching: str = "") -> str:
    """A selector of one of our metrics, of the chosen jobs."""
    return f"twinpin_{name}{{{','.join(filter(None, (_JOB, matching)))}}}"


def recorded(name: str) -> str:
    """A selector of a recording rule's series, of the chosen jobs."""
    return f"twinpin:{name}{{{_JOB}}}"


_JOB = 'job=~"$job"'


def rate(name: str, by: str = "", matching: str = "") -> str:
    """Events a second, together or by labels."""
    return f"sum{f' by ({by})' if by else ''} (rate({metric(name, matching)}[$__rate_interval]))"


def share(part: str, whole: str) -> str:
    """One rate of another."""
    return f"{part} / {whole}"


def quantiles(
    name: str, by: str = "", of: tuple[float, ...] = (0.5, 0.95, 0.99), matching: str = ""
) -> tuple[Query, ...]:
    """Seconds that so many stay below, by labels."""
    labels = ", ".join(filter(None, ("le", by)))
    legend = " ".join(f"{{{{{label}}}}}" for label in by.split(", ") if label)
    return tuple(
        Query(
            f"histogram_quantile({one}, {rate(f'{name}_bucket', labels, matching)})",
            f"p{round(one * 100)} {legend}".strip(),
        )
        for one in of
    )
