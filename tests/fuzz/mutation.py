"""Damages bytes in the ways in which readers of formats mostly break."""

from collections.abc import Callable, Sequence
from random import Random

MOST_BYTES = 1 << 20

_WORDS = (
    *(b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"),
    *(b"\0\0\0\x01", b"\0\0\0\x08", b"\xff" * 8, b"\x80" + bytes(7), b"\xff\xd9", b"\xff\xda"),
    *(b"\n", b"\r", b'"', b",", b"{", b"[", b"\\u0000", b"1e999", b"-1", b"null", b"%d", b"../"),
    *(b"{index}", b"\xc3", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"-->", b"&", b"#"),
)

Mutation = Callable[[Random, bytearray, Sequence[bytes]], None]


def mutated(random: Random, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds after one to eight mutations."""
    data = bytearray(random.choice(seeds))
    for _ in range(random.choice((1, 1, 2, 3, 8))):
        random.choice(_MUTATIONS)(random, data, seeds)
    return bytes(data[:MOST_BYTES])


def _place(random: Random, data: bytearray) -> int:
    """Anywhere, half of the time near the start, where headers are."""
    end = min(len(data), 512) if random.random() < 0.5 else len(data)
    return random.randint(0, end)


def _flip(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    place = _place(random, data)
    if place < len(data):
        data[place] ^= 1 << random.randrange(8)


def _overwrite(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    place, word = _place(random, data), random.choice(_WORDS)
    data[place : place + len(word)] = word


def _insert(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    place = _place(random, data)
    data[place:place] = random.choice((*_WORDS, random.randbytes(random.randint(1, 16))))


def _cut(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[_place(random, data) :]


def _remove(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    place = _place(random, data)
    del data[place : place + random.choice((1, 2, 4, 16, 256))]


def _repeat(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    place = _place(random, data)
    part = data[place : place + random.choice((1, 4, 16, 256))]
    data[place:place] = part * random.choice((1, 2, 20))


def _number(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    """Makes a number a little smaller or larger."""
    size, order = random.choice((1, 2, 4, 8)), random.choice(("big", "little"))
    place = _place(random, data)
    if place + size <= len(data):
        value = int.from_bytes(data[place : place + size], order) + random.choice((-1, 1, 7, -8))
        data[place : place + size] = (value % (1 << 8 * size)).to_bytes(size, order)


def _splice(random: Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    """Goes on as another seed does."""
    other = random.choice(seeds)
    data[_place(random, data) :] = other[random.randint(0, len(other)) :]


_MUTATIONS: tuple[Mutation, ...] = (
    _flip, _overwrite, _insert, _cut, _remove, _repeat, _number, _splice,
)  # fmt: skip
