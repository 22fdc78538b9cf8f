"""Figures as Prometheus gets them, read back."""

import urllib.request

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector


def figures(collector: Collector) -> dict[tuple[str, ...], float]:
    """All samples of a collector, by their name and the values of their labels."""
    registry = CollectorRegistry()
    registry.register(collector)
    return samples(generate_latest(registry).decode())


def samples(text: str) -> dict[tuple[str, ...], float]:
    """All samples of a page."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def get(url: str) -> str:
    """A page."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()
