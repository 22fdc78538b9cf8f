"""Plots as SVG that stands in a page: shapes without colours, which the style sheet gives."""

from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup, escape

from farm.report.axis import Axis, Tick, duration_axis, elapsed_axis, linear_axis
from farm.report.histogram import DurationHistogram, Rates
from farm.report.words import clock_text, rate_text, took_text, visible

_WIDTH = 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 20, 34, 46
_HEIGHT = 250
_ROW = 34
_NAMES_LEFT = 98
PERCENTILES = (0.5, 0.9, 0.95, 0.99)


def plot_rates(rates: Rates) -> Markup:
    """Entries begun per second over time, and those of them that failed."""
    x = elapsed_axis(rates.seconds, _LEFT, _WIDTH - _RIGHT)
    y = linear_axis(max(rates.all), _HEIGHT - _BOTTOM, _TOP, most_ticks=5)
    shapes = [
        *_grid_across(y),
        *_ticks_below(x, _HEIGHT - _BOTTOM),
        _tag("path", class_="area", d=_steps(rates.all, rates, x, y)),
        _text(_LEFT, 18, "Entries begun per second", class_="title"),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, f"since {clock_text(rates.start)}"),
    ]
    if any(rates.failed):
        shapes.append(_tag("path", class_="area bad", d=_steps(rates.failed, rates, x, y)))
        legend = [("area bad", "failed"), ("area", "all")]
        shapes += _legend(legend)
    said = f"Entries begun per second: at most {rate_text(max(rates.all))}"
    return _svg(shapes, height=_HEIGHT, said=said)


def plot_stages(stages: Mapping[str, DurationHistogram]) -> Markup:
    """A box for each stage: half of the entries in it, 90 % between its whiskers."""
    known = {name: each for name, each in stages.items() if each.count}
    whole = sum(each.sum_ms for each in known.values()) or 1.0
    names = [f"{name} {each.sum_ms / whole:.0%}" for name, each in known.items()]
    x = _durations_axis(known.values(), low=0.05, high=0.95)
    shapes = []
    for row, (name, histogram) in enumerate(known.items()):
        shapes.append(_box(name, histogram, x, _row_middle(row)))
    title = "Time of each stage, and its share of all time"
    note = "box: half of the entries; whiskers: 90 %; line: median"
    return _rows(title, note, names, x, shapes)


def plot_latencies(latencies: Mapping[str, DurationHistogram]) -> Markup:
    """The time of an entry by engine: the median and what 90, 95 and 99 % stay below."""
    x = _durations_axis(latencies.values(), low=0.5, high=0.99)
    shapes = []
    for row, (name, histogram) in enumerate(latencies.items()):
        shapes.append(_percentiles(name, histogram, x, _row_middle(row)))
    names = [percentile_name(share) for share in PERCENTILES]
    labels = [(f"mark {name}", name) for name in reversed(names)]
    title = "Time of an entry, by engine"
    return _rows(title, "", list(latencies), x, [*shapes, *_legend(labels)])


def percentile_name(share: float) -> str:
    """`p95` for 0.95."""
    return f"p{share * 100:.0f}"


def _durations_axis(histograms: Iterable[DurationHistogram], *, low: float, high: float) -> Axis:
    each = list(histograms)
    least = min(histogram.quantile(low) for histogram in each)
    most = max(histogram.quantile(high) for histogram in each)
    return duration_axis(least, most, _NAMES_LEFT, _WIDTH - _RIGHT - 8)


def _rows(title: str, note: str, names: Sequence[str], x: Axis, shapes: list[Markup]) -> Markup:
    """A plot with a row for each name, over durations."""
    bottom = _TOP + 8 + _ROW * len(names)
    frame = [
        _text(8, 18, title, class_="title"),
        *_grid_down(x, bottom),
        *_ticks_below(x, bottom),
        *(
            _text(_NAMES_LEFT - 8, _row_middle(row) + 4, visible(name, most=14), class_="name")
            for row, name in enumerate(names)
        ),
        _text((_NAMES_LEFT + _WIDTH - _RIGHT) / 2, bottom + 38, note),
    ]
    said = visible(f"{title}: {', '.join(names)}")
    return _svg([*frame, *shapes], height=bottom + _BOTTOM, said=said)


def _row_middle(row: int) -> float:
    return _TOP + 4 + _ROW * (row + 0.5)


def _box(name: str, histogram: DurationHistogram, x: Axis, y: float) -> Markup:
    ends = [histogram.quantile(each) for each in (0.05, 0.25, 0.5, 0.75, 0.95)]
    low, left, middle, right, high = (x.place(end) for end in ends)
    words = ", ".join(
        f"{share} {took_text(end)}"
        for share, end in zip(("5 %", "25 %", "median", "75 %", "95 %"), ends, strict=True)
    )
    return _tag(
        "g",
        _tag("title", f"{name}: {words}"),
        _line(low, y, high, y, class_="whisker"),
        _line(low, y - 5, low, y + 5, class_="whisker"),
        _line(high, y - 5, high, y + 5, class_="whisker"),
        _tag("rect", class_="box", x=left, y=y - 9, width=max(right - left, 1), height=18, rx=2),
        _line(middle, y - 9, middle, y + 9, class_="median"),
    )


def _percentiles(name: str, histogram: DurationHistogram, x: Axis, y: float) -> Markup:
    ends = [histogram.quantile(each) for each in PERCENTILES]
    words = ", ".join(
        f"{percentile_name(share)} {took_text(end)}"
        for share, end in zip(PERCENTILES, ends, strict=True)
    )
    # The median lies on top where they coincide.
    marks = [
        _tag("circle", class_=f"mark {percentile_name(share)}", cx=x.place(end), cy=y, r=5.5)
        for share, end in zip(PERCENTILES, ends, strict=True)
    ]
    line = _line(x.place(ends[0]), y, x.place(ends[-1]), y, class_="whisker")
    title = _tag("title", f"{visible(name)}: {words}; {histogram.count:,} entries")
    return _tag("g", title, line, *reversed(marks))


def _steps(values: Sequence[float], rates: Rates, x: Axis, y: Axis) -> str:
    """A stair over the axis, as the path of an area."""
    floor = y.place(0)
    points = [f"M{x.place(0):.1f},{floor:.1f}"]
    for index, value in enumerate(values):
        # Where the last step is shorter, the axis ends with it.
        points.append(f"V{y.place(value):.1f}H{x.place((index + 1) * rates.step_seconds):.1f}")
    return "".join([*points, f"V{floor:.1f}Z"])


def _grid_across(y: Axis) -> list[Markup]:
    """A line and a label at each tick of an upright axis."""
    shapes = []
    for tick in y.ticks:
        at = y.place(tick.value)
        shapes.append(_line(_LEFT, at, _WIDTH - _RIGHT, at, class_="grid"))
        shapes.append(_text(_LEFT - 8, at + 4, tick.label, class_="name"))
    return shapes


def _grid_down(x: Axis, bottom: float) -> list[Markup]:
    return [
        _line(x.place(tick.value), _TOP, x.place(tick.value), bottom, class_="grid")
        for tick in x.ticks
    ]


def _ticks_below(x: Axis, bottom: float) -> list[Markup]:
    def label(tick: Tick) -> Markup:
        at = x.place(tick.value)
        return _text(at, bottom + 18, tick.label)

    base = _line(x.begin, bottom, x.end, bottom, class_="base")
    return [base, *(label(tick) for tick in x.ticks)]


def _legend(entries: Sequence[tuple[str, str]]) -> list[Markup]:
    """A mark and a word for each, from the right."""
    shapes = []
    at = float(_WIDTH - _RIGHT)
    for class_, word in entries:
        at -= 3 + 7 * len(word)
        shapes.append(_text(at, 18, word, class_="key"))
        at -= 9
        shapes.append(_tag("circle", class_=class_, cx=at, cy=14, r=5))
        at -= 11
    return shapes


def _svg(shapes: Iterable[Markup], *, height: float, said: str) -> Markup:
    view = f"0 0 {_WIDTH} {height:g}"
    return _tag("svg", *shapes, class_="plot", viewBox=view, role="img", aria_label=said)


def _line(x1: float, y1: float, x2: float, y2: float, *, class_: str) -> Markup:
    return _tag("line", class_=class_, x1=x1, y1=y1, x2=x2, y2=y2)


def _text(x: float, y: float, words: str, *, class_: str = "tick") -> Markup:
    return _tag("text", words, class_=class_, x=x, y=y)


def _tag(name: str, *inner: str, **attributes: str | float) -> Markup:
    """An element; all that is no Markup is escaped."""
    words = [
        Markup(' {}="{}"').format(_attribute(key), _value(value))
        for key, value in attributes.items()
    ]
    text = Markup("").join(escape(each) for each in inner)
    return Markup("<{0}{1}>{2}</{0}>").format(name, Markup("").join(words), text)


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"
