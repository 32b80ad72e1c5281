"""Minor units and currencies. Money is a signed 64-bit count of a currency's minor unit; nothing is ever
rounded.

Source: ISO 4217 for the number of decimals; DESIGN, Data model, for the bounds.
"""

from __future__ import annotations

from typing import Final

WIRE_MAX_MINOR: Final = 2**53 - 1
"""The largest amount on the wire: the last integer that a JSON client reading doubles sees exactly."""

BOOK_FLOOR_MINOR: Final = -(2**62)
"""How far below zero the house's own books may go unless configured otherwise: half of what 64 bits hold."""

BOOK_CEILING_MINOR: Final = 2**62
"""How much a transfer may bring into one of them, or later money would not fit 64 bits."""

CURRENCY_DECIMALS: Final[dict[str, int]] = {
    **dict.fromkeys(("CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF"), 0),
    **dict.fromkeys(
        (
            *(
                "AED",
                "ARS",
                "AUD",
                "BGN",
                "BRL",
                "CAD",
                "CHF",
                "CNY",
                "COP",
                "CZK",
                "DKK",
                "EUR",
                "GBP",
                "GEL",
            ),
            *(
                "GHS",
                "HKD",
                "HUF",
                "IDR",
                "ILS",
                "INR",
                "KES",
                "KZT",
                "MAD",
                "MXN",
                "MYR",
                "NGN",
                "NOK",
                "NZD",
            ),
            *(
                "PEN",
                "PHP",
                "PLN",
                "RON",
                "RSD",
                "SEK",
                "SGD",
                "THB",
                "TRY",
                "TZS",
                "UAH",
                "USD",
                "ZAR",
                "ZMW",
            ),
        ),
        2,
    ),
    **dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 3),
}
"""Decimals of each currency that an account can be kept in: how many minor units are one major unit, as a
power of ten.
"""


def is_currency(code: str) -> bool:
    """Whether accounts can be kept in `code`."""
    return code in CURRENCY_DECIMALS


def in_major_units(amount_minor: int, currency: str) -> str:
    """`amount_minor` as people write it: (-12345, "EUR") is "-123.45", (500, "JPY") is "500".

    Raises `KeyError` for a currency that is not in `CURRENCY_DECIMALS`.
    """
    decimals = CURRENCY_DECIMALS[currency]
    sign = "-" if amount_minor < 0 else ""
    if decimals == 0:
        return f"{sign}{abs(amount_minor)}"
    major, minor = divmod(abs(amount_minor), 10**decimals)
    return f"{sign}{major}.{minor:0{decimals}}"
