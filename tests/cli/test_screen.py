"""Text for people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.cli.screen import duration_text, printable
from farm.wording import size_text


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_printed(text: str) -> None:
    shown = printable(text)
    assert all(one.isprintable() or one == "\n" for one in shown)
    assert not text.isprintable() or shown == text


def test_control_characters_are_shown() -> None:
    assert printable("a\x1b[31m\u202eb\n") == "a\\x1b[31m\\u202eb\n"


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (3e12, "3.0 TB")]
)
def test_sizes(size: float, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.9, "59.9 s"), (245, "4:05"), (3845.2, "1:04:05")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
