"""Display matrices and Exif codes."""

import pytest

from farm.engines.mp4.matrix import combined, orientation_of
from tests.engines.mp4.build import IDENTITY

ONE = 1 << 16
QUARTER = (0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30)


def matrix(a: int, b: int, c: int, d: int) -> tuple[int, ...]:
    return (a, b, 0, c, d, 0, 0, 0, 1 << 30)


@pytest.mark.parametrize(
    ("numbers", "orientation"),
    [
        ((1, 0, 0, 1), 1),
        ((-1, 0, 0, 1), 2),
        ((-1, 0, 0, -1), 3),
        ((1, 0, 0, -1), 4),
        ((0, 1, 1, 0), 5),
        ((0, 1, -1, 0), 6),
        ((0, -1, -1, 0), 7),
        ((0, -1, 1, 0), 8),
        ((0, 0, 0, 0), 1),
        ((10, 1, -1, 10), 1),
        ((1, 10, -10, 1), 6),
    ],
)
def test_the_nearest_quarter_turn_counts(numbers: tuple[int, ...], orientation: int) -> None:
    assert orientation_of(matrix(*(number * ONE for number in numbers))) == orientation


def test_the_identity_changes_nothing() -> None:
    assert combined(QUARTER, IDENTITY) == QUARTER
    assert combined(IDENTITY, QUARTER) == QUARTER


def test_two_quarters_are_a_half() -> None:
    assert orientation_of(combined(QUARTER, QUARTER)) == 3
