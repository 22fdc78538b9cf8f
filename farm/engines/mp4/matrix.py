"""Display matrices of MP4 tracks, and the Exif orientations next to them."""

import struct

MATRIX = struct.Struct(">9i")

_SHIFTS = (16, 16, 30)
_ORIENTATIONS = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}


def orientation_of(matrix: tuple[int, ...]) -> int:
    """The Exif code of a 3x3 display matrix, row-major 16.16, to the nearest quarter turn.

    A pixel (x, y) is shown at (a x + c y, b x + d y), ISO/IEC 14496-12, 6.2.2.
    """
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if abs(a) + abs(d) >= abs(b) + abs(c):
        b = c = 0
    else:
        a = d = 0
    return _ORIENTATIONS.get((_sign(a), _sign(b), _sign(c), _sign(d)), 1)


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def combined(track: tuple[int, ...], movie: tuple[int, ...]) -> tuple[int, ...]:
    """The track's matrix followed by the movie's; the third column is 2.30, the others 16.16."""
    return tuple(
        sum((track[3 * i + e] * movie[3 * e + j]) >> _SHIFTS[e] for e in range(3))
        for i in range(3)
        for j in range(3)
    )
