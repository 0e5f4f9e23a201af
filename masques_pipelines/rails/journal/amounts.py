"""Converts amounts and times of lines into those of settlements."""

from datetime import datetime
from decimal import Decimal

from masques_pipelines.money import is_representable, whole_units
from masques_pipelines.rails.journal.messages import LineError


def amount_of(units: int | None, decimals: int, name: str = "amount") -> Decimal:
    """Returns an amount in whole units.

    Raises:
        LineError: There is none, or no column holds it.
    """
    if units is None:
        raise LineError(f"missing:{name}")
    amount = whole_units(units, decimals)
    if not is_representable(amount):
        raise LineError(f"out_of_range:{name}")
    return amount


def nanoseconds(at: datetime) -> int:
    """Returns a time as nanoseconds since 1970."""
    return int(at.timestamp()) * 10**9 + at.microsecond * 1000


def journal_at(at: datetime, rank: int) -> str:
    """Returns the time of a line as text that sorts by time and then by step of the payment."""
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}#{rank}"
