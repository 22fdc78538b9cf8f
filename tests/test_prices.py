"""Prices: what a usage costs."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from farm.fault import explain
from farm.prices import Cost, Prices, Usage, cost_fields, cost_of

USAGE = Usage(
    entries=1000,
    seconds=900,
    worker_seconds=1800,
    lane_seconds=7200,
    busy_seconds=6000,
    bytes_read=5e9,
    requests=4000,
    files=2000,
    file_bytes=3e9,
    ledger_objects=500,
    ledger_bytes=1e9,
)


def test_nothing_costs_anything_unless_it_is_said():
    assert cost_of(USAGE, Prices()) == Cost(0, 0, 0, 0, 0, 0)
    assert not Prices().are_given
    assert not Prices(currency="EUR").are_given


@pytest.mark.parametrize(
    ("name", "paid_for", "amount"),
    [
        ("worker_hour", "workers", 1.0),
        ("lane_hour", "lanes", 4.0),
        ("gb_read", "read", 10.0),
        ("get_thousand", "gets", 8.0),
        ("put_thousand", "puts", 5.0),
        ("gb_month_stored", "stored_month", 8.0),
    ],
)
def test_each_price_is_of_one_figure(name, paid_for, amount):
    prices = Prices.model_validate({name: 2.0})
    cost = cost_of(USAGE, prices)
    assert prices.are_given
    assert {each: getattr(cost, each) for each in Cost.__slots__ if getattr(cost, each)} == {
        paid_for: pytest.approx(amount)
    }
    assert cost.total == pytest.approx(0.0 if paid_for == "stored_month" else amount)


def test_machines_are_told_it_by_name():
    assert cost_fields(USAGE, Prices(currency="EUR")) is None
    told = cost_fields(USAGE, Prices(currency="EUR", worker_hour=2, put_thousand=2))
    assert told == {
        "currency": "EUR",
        "total": pytest.approx(6.0),
        "workers": pytest.approx(1.0),
        "lanes": 0.0,
        "read": 0.0,
        "gets": 0.0,
        "puts": pytest.approx(5.0),
        "stored_month": 0.0,
    }


@given(st.floats(0, 1e6), st.floats(0, 1e3))
def test_it_is_linear(factor, price):
    prices = Prices(worker_hour=price, gb_read=price, put_thousand=price, gb_month_stored=price)
    scaled = Usage(**{name: getattr(USAGE, name) * factor for name in Usage.__slots__})
    once, many = cost_of(USAGE, prices), cost_of(scaled, prices)
    assert many.total == pytest.approx(once.total * factor)
    assert many.stored_month == pytest.approx(once.stored_month * factor)


def test_every_price_is_documented():
    text = (Path(__file__).parents[1] / "docs/running.md").read_text("utf-8")
    section = text.partition("## What it will cost")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(Prices.model_fields)


@pytest.mark.parametrize("currency", ["EUR", "€", "$", ""])
def test_a_currency_is_a_word_or_a_sign(currency):
    assert Prices(currency=currency).currency == currency


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"worker_hour": -1}, "worker_hour: expected at least 0.0, received -1"),
        ({"gb_read": "free"}, "gb_read: expected a number, received 'free'"),
        ({"gb_read": float("inf")}, "gb_read: Input should be a finite number"),
        ({"put": 1}, "put: unknown; allowed: currency, worker_hour"),
        ({"currency": "1 EUR"}, "currency: expected a text that fits"),
        ({"currency": "\x1b"}, "currency: expected a text that fits"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, said):
    with pytest.raises(ValidationError) as refused:
        Prices.model_validate(fields)
    assert said in explain(refused.value, Prices)
