"""Plots: axes with round ticks, shapes where their values lie, and no markup but ours."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from farm.report.axis import duration_axis, elapsed_axis, linear_axis
from farm.report.histogram import DurationHistogram, Rates
from farm.report.plots import plot_latencies, plot_rates, plot_stages


def _histogram(*values: float) -> DurationHistogram:
    histogram = DurationHistogram()
    histogram.add(np.array(values))
    return histogram


def _parsed(plot: Markup) -> ElementTree.Element:
    return ElementTree.fromstring(plot)


def _texts(plot: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in plot.iter("text")]


@pytest.mark.parametrize(
    ("high", "labels"),
    [
        (0.0, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (26.0, ["0", "5", "10", "15", "20", "25", "30"]),
        (1.0, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (0.03, ["0", "0.005", "0.01", "0.015", "0.02", "0.025", "0.03"]),
        (123_456.0, ["0", "50,000", "100,000", "150,000"]),
    ],
)
def test_linear_axes_have_round_ticks(high: float, labels: list[str]) -> None:
    axis = linear_axis(high, 200, 0)
    assert [tick.label for tick in axis.ticks] == labels
    assert (axis.place(0), axis.place(axis.high)) == (200, 0)


@given(st.floats(1e-6, 1e12))
def test_linear_axes_hold_their_values_in_a_few_ticks(high: float) -> None:
    axis = linear_axis(high, 0, 100)
    assert axis.high >= high * (1 - 1e-6)
    assert 2 <= len(axis.ticks) <= 8
    assert axis.place(high) > 40


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.02, 900, ["0.01 ms", "0.1 ms", "1 ms", "10 ms", "100 ms", "1 s"]),
        (5, 5, ["1 ms", "10 ms"]),
        (100, 100_000, ["100 ms", "1 s", "10 s", "100 s"]),
        (0, 0, ["0.01 ms", "0.1 ms"]),
    ],
)
def test_duration_axes_have_whole_decades(low: float, high: float, labels: list[str]) -> None:
    axis = duration_axis(low, high, 0, 100)
    assert [tick.label for tick in axis.ticks] == labels
    middle = (axis.low * axis.high) ** 0.5
    assert axis.place(middle) == pytest.approx(50)
    assert (axis.place(0), axis.place(1e12)) == (0, 100)


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (0.5, ["0 s"]),
        (10, ["0 s", "2 s", "4 s", "6 s", "8 s", "10 s"]),
        (170, ["0 s", "30 s", "60 s", "90 s", "120 s", "150 s"]),
        (600, ["0 min", "2 min", "4 min", "6 min", "8 min", "10 min"]),
        (12 * 3600, ["0 h", "2 h", "4 h", "6 h", "8 h", "10 h", "12 h"]),
        (10 * 86_400, ["0 d", "2 d", "4 d", "6 d", "8 d", "10 d"]),
    ],
)
def test_elapsed_axes_suit_the_time(seconds: float, labels: list[str]) -> None:
    axis = elapsed_axis(seconds, 0, 100)
    assert [tick.label for tick in axis.ticks] == labels
    assert axis.high == seconds


def test_rates_are_a_stair() -> None:
    rates = Rates(1_780_000_000.0, 6.0, 2.0, (1.0, 4.0, 0.0), (0.0, 2.0, 0.0))
    plot = _parsed(plot_rates(rates))
    every, failed = plot.iter("path")
    heights = [float(y) for y in re.findall(r"V([\d.]+)", every.attrib["d"])]
    floor = heights[-1]
    assert [floor - y for y in heights[:3]] == pytest.approx([42.5, 170.0, 0.0], abs=0.1)
    assert failed.attrib["class"] == "area bad"
    texts = _texts(plot)
    assert {"Entries begun per second", "all", "failed", "0 s", "6 s"} <= set(texts)
    assert "since 2026-05-28 20:26:40 UTC" in texts
    assert "at most 4" in plot.attrib["aria-label"]


def test_without_failures_none_are_drawn() -> None:
    plot = _parsed(plot_rates(Rates(0.0, 1.0, 1.0, (3.0,), (0.0,))))
    assert len(list(plot.iter("path"))) == 1
    assert "failed" not in _texts(plot)


def test_stages_are_boxes_with_their_share() -> None:
    stages = {"decode": _histogram(*[30.0] * 49, *[60.0] * 51), "store": _histogram(1000.0)}
    plot = _parsed(plot_stages(stages | {"fetch": DurationHistogram()}))
    boxes = list(plot.iter("rect"))
    assert len(boxes) == 2
    # A quarter lies below 30 ms, three quarters below 60, of two decades and a bit.
    assert float(boxes[0].attrib["width"]) > float(boxes[1].attrib["width"])
    assert {"decode 82%", "store 18%", "10 ms", "1 s"} <= set(_texts(plot))
    (title, _) = plot.iter("title")
    assert title.text == "decode: 5 % 30 ms, 25 % 30 ms, median 60 ms, 75 % 60 ms, 95 % 60 ms"


def test_latencies_are_marked_from_left_to_right() -> None:
    plot = _parsed(plot_latencies({"pyav": _histogram(*np.linspace(10, 1000, 1001))}))
    marks = [each for each in plot.iter("circle") if each.attrib["cy"] != "14"]
    places = {each.attrib["class"]: float(each.attrib["cx"]) for each in marks}
    assert places["mark p50"] < places["mark p90"] < places["mark p95"] < places["mark p99"]
    assert {"p50", "p90", "p95", "p99"} <= set(_texts(plot))


def test_hostile_names_are_escaped() -> None:
    name = '</text><script>alert("1")</script>\u202e'
    plot = plot_latencies({name: _histogram(1.0)})
    assert "<script" not in plot
    assert "\u202e" not in plot
    assert _parsed(plot).find(".//script") is None
