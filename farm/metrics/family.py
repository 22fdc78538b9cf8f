"""How the figures of a moment become families of Prometheus's."""

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


def counter(name: str, text: str, value: float) -> Metric:
    """One figure that only grows; its name gets `_total`."""
    return CounterMetricFamily(name, text, value=value)


def counters(
    name: str, text: str, label: str, values: Mapping[str, float], *, known: Iterable[str] = ()
) -> Metric:
    """Figures that only grow, by a label; those of `known` labels are there from the start."""
    family = CounterMetricFamily(name, text, labels=[label])
    for each, value in (dict.fromkeys(known, 0) | dict(values)).items():
        family.add_metric([each], value)
    return family


def gauge(name: str, text: str, value: float | None) -> Metric:
    """One figure that goes up and down; without a sample while it is not known."""
    family = GaugeMetricFamily(name, text)
    if value is not None:
        family.add_metric([], value)
    return family


def gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    """Figures that go up and down, by a label."""
    family = GaugeMetricFamily(name, text, labels=[label])
    for each, value in values.items():
        family.add_metric([each], value)
    return family


def info(name: str, text: str, values: Mapping[str, str]) -> Metric:
    """What stays the same, as labels of a figure that is 1."""
    family = GaugeMetricFamily(f"{name}_info", text, labels=list(values))
    family.add_metric(list(values.values()), 1)
    return family
