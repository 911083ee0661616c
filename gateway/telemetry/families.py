"""Where metric families are made: one registry, one prefix, and an end for the series of versions that are gone."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

AXES = "index", "model"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_Family = TypeVar("_Family", Counter, Gauge, Histogram)


class Families:
    """Makes families, and knows which of them have a version for a label."""

    def __init__(self) -> None:
        disable_created_metrics()  # a second series for each, which no panel reads
        self.registry = CollectorRegistry()
        self._versioned: dict[str, list[Counter | Gauge | Histogram]] = {axis: [] for axis in AXES}

    def counter(self, name: str, told: str, *labels: str) -> Counter:
        """`twinpin_<name>_total`."""
        return self._known(Counter(f"twinpin_{name}", told, labels, registry=self.registry), labels)

    def gauge(self, name: str, told: str, *labels: str) -> Gauge:
        """`twinpin_<name>`."""
        return self._known(Gauge(f"twinpin_{name}", told, labels, registry=self.registry), labels)

    def histogram(self, name: str, told: str, *labels: str, buckets: Sequence[float] = _SECONDS) -> Histogram:
        """`twinpin_<name>`, of seconds."""
        made = Histogram(f"twinpin_{name}", told, labels, buckets=buckets, registry=self.registry)
        return self._known(made, labels)

    def _known(self, family: _Family, labels: Sequence[str]) -> _Family:
        for axis in self._versioned.keys() & set(labels):
            self._versioned[axis].append(family)
        return family

    def forget(self, versions: Mapping[str, Collection[str]]) -> None:
        """Drop every series of these versions, by axis: a registry that only grows is a leak."""
        for axis, names in versions.items():
            for family in self._versioned[axis]:
                for name in names:
                    family.remove_by_labels({axis: name})
