"""Rates in words and in shares."""

import pytest

from farm.errors import InvalidJobError
from farm.manners import Manners, Rates, byte_rate


@pytest.mark.parametrize(
    ("words", "rate"),
    [
        ("50MB", 50e6),
        ("50 MB/s", 50e6),
        ("1GiB", 2.0**30),
        ("1.5k", 1500),
        ("800000", 8e5),
        ("800000B/s", 8e5),
        ("2TiB/s", 2.0**41),
    ],
)
def test_bytes_per_second_in_words(words, rate):
    assert byte_rate(words) == rate


@pytest.mark.parametrize("words", ["", "fast", "-5MB", "5XB", "5iB", "5MB/h", "5 Mbit", "MB"])
def test_other_words_are_refused(words):
    with pytest.raises(InvalidJobError, match="such as 50MB or 1GiB, received"):
        byte_rate(words)


def test_a_share_is_that_of_one_of_all():
    assert Rates(100.0, 30.0).share(4) == Rates(25.0, 7.5)
    assert Rates(None, 30.0).share(3) == Rates(None, 10.0)
    assert Rates(100.0).share(0) == Rates(100.0)


def test_what_is_not_limited():
    assert not Rates().are_limited
    assert Rates(bytes_per_second=1).are_limited
    assert Rates(requests_per_second=1).are_limited


@pytest.mark.parametrize("rates", [Rates(0), Rates(None, -1), Rates(float("nan"))])
def test_rates_are_more_than_nothing(rates):
    with pytest.raises(InvalidJobError, match="expected more than 0"):
        Manners(rates)
