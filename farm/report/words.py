"""Numbers and texts as a report shows them to people."""

from datetime import UTC, datetime

from farm.wording import escaped


def visible(text: str, *, most: int = 500) -> str:
    """The text, cut where it is too long, with what cannot be seen escaped."""
    return escaped(text if len(text) <= most else f"{text[: most - 1]}…")


def took_text(milliseconds: float) -> str:
    """How long something took: `0.3 ms`, `85 ms`, `3.2 s`, `4 min 5 s` or `1 h 4 min`."""
    if milliseconds < 9.95:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 59_950:
        return f"{milliseconds / 1000:.1f} s"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def rate_text(per_second: float) -> str:
    """A rate with three digits: `8.31` or `1,240`."""
    return f"{per_second:,.0f}" if per_second >= 99.95 else f"{per_second:.3g}"


def clock_text(seconds: float) -> str:
    """A moment, seconds since 1970: `2026-01-31 12:30:05 UTC`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
