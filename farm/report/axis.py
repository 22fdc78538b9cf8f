"""Axes of plots: where a value lies, and which values are written beside it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_TIME_UNITS = (("s", 1.0, 180.0), ("min", 60.0, 3 * 3600.0), ("h", 3600.0, 3 * 86_400.0))
_MINUTE_STEPS = (1, 2, 5, 10, 15, 20, 30, 60)
_HOUR_STEPS = (1, 2, 3, 6, 12, 24)


@dataclass(frozen=True, slots=True)
class Tick:
    """A value that is written at an axis; one without a label has a line only."""

    value: float
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from `low` to `high`, drawn from pixel `begin` to pixel `end`."""

    low: float
    high: float
    begin: float
    end: float
    ticks: Sequence[Tick]
    is_log: bool = False

    def place(self, value: float) -> float:
        """The pixel of a value; of one outside the axis, the axis' end."""
        value = min(max(value, self.low), self.high)
        if self.is_log:
            fraction = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            fraction = (value - self.low) / (self.high - self.low)
        return self.begin + fraction * (self.end - self.begin)


def linear_axis(high: float, begin: float, end: float, *, most_ticks: int = 6) -> Axis:
    """From 0 to a round number at or above `high`, with round steps."""
    step = _round_step((high or 1.0) / most_ticks)
    count = max(1, math.ceil((high or 1.0) / step - 1e-9))
    # No power of ten that a float cannot hold exactly: what is shown has no tail of nines.
    ticks = [Tick(step * index, f"{step * index:,.6g}") for index in range(count + 1)]
    return Axis(0.0, step * count, begin, end, ticks)


def duration_axis(low_ms: float, high_ms: float, begin: float, end: float) -> Axis:
    """Milliseconds on a logarithmic scale, over whole decades."""
    first = math.floor(math.log10(max(low_ms, 0.01)))
    last = max(first + 1, math.ceil(math.log10(max(high_ms, 0.01)) - 1e-9))
    ticks = [Tick(10.0**power, _decade_text(power)) for power in range(first, last + 1)]
    return Axis(10.0**first, 10.0**last, begin, end, ticks, is_log=True)


def elapsed_axis(seconds: float, begin: float, end: float, *, most_ticks: int = 7) -> Axis:
    """Time since the start, in the unit that suits: seconds, minutes, hours or days."""
    seconds = seconds or 1.0
    unit, unit_seconds = next(
        ((name, each) for name, each, most in _TIME_UNITS if seconds <= most), ("d", 86_400.0)
    )
    span = seconds / unit_seconds
    steps = {"s": _MINUTE_STEPS, "min": _MINUTE_STEPS, "h": _HOUR_STEPS}.get(unit, ())
    least = span / most_ticks
    step = next((float(each) for each in steps if each >= least), None) or _round_step(least)
    numbers = [step * index for index in range(int(span / step + 1e-9) + 1)]
    ticks = [Tick(number * unit_seconds, f"{number:,.4g} {unit}") for number in numbers]
    return Axis(0.0, seconds, begin, end, ticks)


def _round_step(least: float) -> float:
    """1, 2 or 5 times a power of ten, at least so much."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))


def _decade_text(power: int) -> str:
    if power < 3:
        return f"{10.0**power:.10g} ms"
    return f"{10 ** (power - 3):,} s"
