"""Defines a metric for Prometheus and for the documentation at once."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

Values = str | Sequence[str]  # what bounds a label: in words, or the values themselves
Mode = Literal["livesum", "livemax"]  # how a gauge's values of several processes on one port become one


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A metric as the documentation tells of it; `name` is the one that Prometheus sees."""

    name: str
    type: str
    meaning: str
    labels: Mapping[str, Values]


DEFINITIONS: Final[list[Definition]] = []
_LABELS: Final[dict[MetricWrapperBase, Mapping[str, Values]]] = {}


def _define(name: str, kind: str, meaning: str, labels: Mapping[str, Values]) -> None:
    DEFINITIONS.append(Definition(name=name, type=kind, meaning=meaning, labels=labels))


def counter(name: str, meaning: str, **labels: Values) -> Counter:
    """Defines a counter; its name here is without `_total`."""
    _define(f"{name}_total", "counter", meaning, labels)
    defined = Counter(name, meaning, tuple(labels))
    _LABELS[defined] = labels
    return defined


def start_at_zero(metrics: Iterable[Counter], **fixed: str) -> None:
    """Makes the counters' children for every word of their labels: the first event is a rise only if 0 was seen before.

    Labels in `fixed` have that value alone; so must those whose values are no list of words."""
    for metric in metrics:
        labels = _LABELS[metric]
        words = [[fixed[name]] if name in fixed else values for name, values in labels.items()]
        for each in itertools.product(*words):
            metric.labels(*each)


def gauge(name: str, meaning: str, mode: Mode = "livemax", **labels: Values) -> Gauge:
    """Defines a gauge."""
    _define(name, "gauge", meaning, labels)
    return Gauge(name, meaning, tuple(labels), multiprocess_mode=mode)


def histogram(name: str, meaning: str, buckets: Sequence[float]) -> Histogram:
    """Defines a histogram without labels."""
    _define(name, "histogram", meaning, {})
    return Histogram(name, meaning, buckets=buckets)
