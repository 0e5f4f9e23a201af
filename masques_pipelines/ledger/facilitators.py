"""Describes facilitators in the chart: what they charge from when, and what they did charge."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

BASIS_POINTS_MAX: Final = 10_000
_DECIMAL: Final = re.compile(r"\d{1,20}(\.\d{1,18})?")
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}|[1-9A-HJ-NP-Za-km-z]{32,44}")
_MONTH: Final = re.compile(r"(\d{4})-(\d{2})")


def _exact(value: object) -> object:
    """Reads an exact number: a float of YAML is not what was written."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(  # noqa: TRY004 - pydantic's own
            'must be a whole number, or an exact one in quotes, as in "0.001"'
        )
    text = str(value)
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError("must be a number that is not negative, with at most 18 decimals")
    return Decimal(text)


def _day(value: object) -> object:
    if isinstance(value, date):
        return value
    raise ValueError("must be a day, as in 2026-01-01")


def _month(value: object) -> object:
    """Returns the first day of a month: `2026-10`, or that day."""
    found = _MONTH.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be a month, as in 2026-10")
    try:
        return date(int(found[1]), int(found[2]), 1)
    except ValueError as error:
        raise ValueError("must be a month, as in 2026-10") from error


def _address(text: str) -> str:
    if _ADDRESS.fullmatch(text) is None:
        raise ValueError("must be an address: 0x and 40 hex digits, or base58; put it in quotes")
    return text.lower() if text.startswith("0x") else text


def _few_points(value: Decimal) -> Decimal:
    if value > BASIS_POINTS_MAX or value != round(value, 4):
        raise ValueError("must be at most 10000, with at most 4 decimals")
    return value


Exact = Annotated[Decimal, BeforeValidator(_exact)]
Points = Annotated[Decimal, BeforeValidator(_exact), AfterValidator(_few_points)]
Asset = Annotated[str, Field(pattern=r"^[^\s:,]{1,40}$", strict=True)]
Address = Annotated[str, Field(strict=True), AfterValidator(_address)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fee(_Part):
    """What a facilitator charges for each payment, from a day on.

    Attributes:
        from_: First day.
        asset: What the fee is in.
        flat: For each payment.
        basis_points: Of the amount, hundredths of a percent.
        free_per_month: Payments of a calendar month that cost nothing.
    """

    from_: Annotated[date, BeforeValidator(_day)] = Field(alias="from")
    asset: Asset
    flat: Exact = Decimal(0)
    basis_points: Points = Decimal(0)
    free_per_month: Annotated[int, Field(ge=0, le=2**32 - 1, strict=True)] = 0


class Statement(_Part):
    """What a facilitator's statement of a month charged.

    Attributes:
        month: Its first day.
        asset: What it is in.
        charged: How much.
    """

    month: Annotated[date, BeforeValidator(_month)]
    asset: Asset
    charged: Exact


class Facilitator(_Part):
    """One facilitator.

    Attributes:
        submitters: The addresses that send its transactions: how its payments are known.
        paid_to: The addresses that its fees are paid to, where they are paid on a rail.
        fees: By the day that they hold from.
        statements: By month.
    """

    submitters: Annotated[tuple[Address, ...], Field(min_length=1)]
    paid_to: tuple[Address, ...] = ()
    fees: Annotated[tuple[Fee, ...], Field(min_length=1)]
    statements: tuple[Statement, ...] = ()

    @model_validator(mode="after")
    def _says_each_once(self) -> "Facilitator":
        days = [each.from_ for each in self.fees]
        months = [(each.month, each.asset) for each in self.statements]
        if len(set(days)) < len(days):
            raise ValueError("two fees hold from the same day")
        if len(set(months)) < len(months):
            raise ValueError("two statements are of the same month and asset")
        return self


def have_each_address_once(
    facilitators: Mapping[str, Facilitator],
) -> Mapping[str, Facilitator]:
    """Returns facilitators.

    Raises:
        ValueError: Two have one address: whose payments are they?
    """
    seen: dict[str, str] = {}
    for name, each in facilitators.items():
        for address in each.submitters:
            if seen.setdefault(address, name) != name:
                raise ValueError(f"{address} is a submitter of {seen[address]} and of {name}")
    return facilitators


def rows_of(facilitators: Mapping[str, Facilitator]) -> Iterator[dict[str, Any]]:
    """Yields what the chart says of facilitators, as columns of masques_ops.chart_entries."""
    numbers = {"facilitator_fee": 0, "facilitator_statement": 0}
    for number, (name, each) in enumerate(sorted(facilitators.items()), 1):
        for kind, addresses in (
            ("facilitator", each.submitters),
            ("facilitator_account", each.paid_to),
        ):
            if addresses:
                known = tuple(sorted(set(addresses)))
                yield {"kind": kind, "code": number, "name": name, "addresses": known}
        for fee in sorted(each.fees, key=lambda one: one.from_):
            numbers["facilitator_fee"] += 1
            yield {
                "kind": "facilitator_fee",
                "code": numbers["facilitator_fee"],
                "name": name,
                "fee_from": fee.from_,
                "fee_asset": fee.asset,
                "fee_flat": fee.flat,
                "fee_basis_points": fee.basis_points,
                "fee_free_per_month": fee.free_per_month,
            }
        for said in sorted(each.statements, key=lambda one: (one.month, one.asset)):
            numbers["facilitator_statement"] += 1
            yield {
                "kind": "facilitator_statement",
                "code": numbers["facilitator_statement"],
                "name": name,
                "fee_from": said.month,
                "fee_asset": said.asset,
                "fee_charged": said.charged,
            }
