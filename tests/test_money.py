"""Money: which currencies there are, and how an amount reads."""

from __future__ import annotations

import pytest

from engine.money import CURRENCY_DECIMALS, WIRE_MAX_MINOR, in_major_units, is_currency


@pytest.mark.parametrize(
    ("amount_minor", "currency", "written"),
    [
        (0, "EUR", "0.00"),
        (1, "EUR", "0.01"),
        (99, "EUR", "0.99"),
        (100, "EUR", "1.00"),
        (-1, "EUR", "-0.01"),
        (-12345, "EUR", "-123.45"),
        (500, "JPY", "500"),
        (-500, "JPY", "-500"),
        (1, "KWD", "0.001"),
        (-1234567, "KWD", "-1234.567"),
        (WIRE_MAX_MINOR, "EUR", "90071992547409.91"),
        (-(2**62), "EUR", "-46116860184273879.04"),
    ],
)
def test_an_amount_reads_as_people_write_it(amount_minor: int, currency: str, written: str) -> None:
    assert in_major_units(amount_minor, currency) == written


def test_an_unknown_currency_has_no_decimals() -> None:
    assert not is_currency("XXX")
    assert not is_currency("eur")
    assert not is_currency("")
    with pytest.raises(KeyError):
        in_major_units(1, "XXX")


@pytest.mark.parametrize(("code", "decimals"), [("EUR", 2), ("USD", 2), ("JPY", 0), ("ISK", 0), ("KWD", 3)])
def test_decimals_are_those_of_iso_4217(code: str, decimals: int) -> None:
    assert is_currency(code)
    assert CURRENCY_DECIMALS[code] == decimals


def test_every_currency_is_written_in_three_capital_letters() -> None:
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in CURRENCY_DECIMALS)


def test_the_largest_amount_is_the_last_that_a_double_counts_exactly() -> None:
    assert float(WIRE_MAX_MINOR) == WIRE_MAX_MINOR
    assert float(WIRE_MAX_MINOR + 2) == float(WIRE_MAX_MINOR + 1)
