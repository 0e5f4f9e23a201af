"""Money is exact: no digit is lost on the way from the ledger's units to the text."""

from decimal import Decimal

import pytest

from masques_pipelines.money import amount_text, is_representable, whole_units

U128_MAX = 2**128 - 1


@pytest.mark.parametrize(
    ("units", "scale", "text"),
    [
        (0, 6, "0.000000 USD"),
        (1, 18, "0.000000000000000001 USD"),  # no exponent
        (-1_500_000, 6, "-1.500000 USD"),
        (U128_MAX, 0, "340282366920938463463374607431768211455 USD"),
        (U128_MAX, 18, "340282366920938463463.374607431768211455 USD"),
        (2**256 - 1, 6, f"{str(2**256 - 1)[:-6]}.{str(2**256 - 1)[-6:]} USD"),
    ],
)
def test_units_become_text_without_losing_a_digit(units: int, scale: int, text: str) -> None:
    assert amount_text(whole_units(units, scale), "USD") == text


def test_an_amount_without_a_currency_is_digits_only() -> None:
    assert amount_text(Decimal("2.50")) == "2.50"


@pytest.mark.parametrize(
    ("amount", "fits"),
    [
        (Decimal("9" * 58 + "." + "9" * 18), True),
        (Decimal(10) ** 58, False),
        (-(Decimal(10) ** 58), False),
        (Decimal("1e-18"), True),
        (Decimal("1e-19"), False),
        (Decimal("NaN"), False),
        (Decimal("-Infinity"), False),
    ],
)
def test_only_what_a_column_holds_exactly_is_representable(amount: Decimal, *, fits: bool) -> None:
    assert is_representable(amount) is fits
