"""Exact amounts of money, as the tables hold them: Decimal(76, 18).

Add up amounts in SQL, or in Python with EXACT: Python's default context rounds at 28 digits, and so
does pandas' own sum.
"""

from decimal import Context, Decimal
from typing import Final

# A u128 has 39 digits, a uint256 78; sums and scales need a few more.
EXACT: Final = Context(prec=80)
# Decimal(76, 18) holds 58 digits before the point, 18 after it.
SCALE_MAX: Final = 18
AMOUNT_LIMIT: Final = Decimal(10) ** 58


def whole_units(units: int, scale: int) -> Decimal:
    """Returns an amount in whole units of its currency: `units` of 10^-scale each."""
    return Decimal(units).scaleb(-scale, context=EXACT)


def is_representable(amount: Decimal) -> bool:
    """Returns whether a column of type Decimal(76, 18) holds the amount exactly."""
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -SCALE_MAX:  # NaN and infinity have a letter
        return False
    return amount.copy_abs() < AMOUNT_LIMIT  # abs() would round at 28 digits


def amount_text(amount: Decimal, currency: str = "") -> str:
    """Returns all digits of an amount, never an exponent: "0.000001 USD"."""
    return f"{amount:f} {currency}".rstrip()
