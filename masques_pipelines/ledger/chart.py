"""The chart: the asset and scale of each ledger, the meaning of account, transfer, resource codes.

Reads and validates a chart file, and loads it into masques_ops for the views there. A changed chart
becomes a new version as one insert, so that the views change from one row to the next, never half.
"""

import importlib.resources
import time
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from masques_pipelines.errors import PermanentError
from masques_pipelines.ledger.facilitators import Facilitator, have_each_address_once, rows_of
from masques_pipelines.money import SCALE_MAX
from masques_pipelines.strict_yaml import line_of, load_yaml
from masques_pipelines.warehouse.client import Warehouse

# What an entry says, as columns of masques_ops.chart_entries. 020_ledger_chart.sql has the defaults
# of an entry that says no more than its name; those here must be the same.
_COLUMNS: Final = (
    *("kind", "code", "name", "scale", "needs", "within_s"),
    *("is_rail_side", "rail_assets", "hold_days_max"),
    *("addresses", "fee_from", "fee_asset", "fee_flat", "fee_basis_points"),
    *("fee_free_per_month", "fee_charged"),
)
_IN_FORCE: Final = (
    f"SELECT DISTINCT {', '.join(_COLUMNS)}, version FROM masques_ops.chart_entries "  # noqa: S608 - constants
    "WHERE version = (SELECT max(version) FROM masques_ops.chart_entries)"
)
TREASURY: Final = "treasury"
_DAY_S: Final = 86_400
_YEAR_S: Final = 365 * _DAY_S

_PLACEHOLDERS: Final = {
    "ledger": "ledger",
    "account code": "code",
    "transfer code": "code",
    "resource type": "type",
}

Ledger = Annotated[int, Field(ge=1, le=2**32 - 1, strict=True)]
Code = Annotated[int, Field(ge=1, le=2**16 - 1, strict=True)]
ResourceType = Annotated[int, Field(ge=1, le=2**8 - 1, strict=True)]
Asset = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9.]{0,15}$", strict=True)]


def _not_a_placeholder(name: str) -> str:
    """Refuses `code_12` and `type_7`: those are placeholders for numbers without a name."""
    if name.startswith(("code_", "type_")):
        raise ValueError("a name cannot begin with code_ or type_")
    return name


# As the allow-lists of the rails name tokens.
RailAsset = Annotated[str, Field(pattern=r"^[^\s:,]{1,40}$", strict=True)]
Name = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", strict=True), AfterValidator(_not_a_placeholder)
]


class ChartError(PermanentError):
    """The chart cannot be used; the text names the file and the entry."""


class Row(NamedTuple):
    """An entry as a row of masques_ops.chart_entries, but for its version."""

    kind: str
    code: int
    name: str
    scale: int = 0
    needs: str = ""
    within_s: int = 0
    is_rail_side: int = 0
    rail_assets: tuple[str, ...] = ()
    hold_days_max: int = 0
    addresses: tuple[str, ...] = ()
    fee_from: date = date(1970, 1, 1)
    fee_asset: str = ""
    fee_flat: Decimal = Decimal(0)
    fee_basis_points: Decimal = Decimal(0)
    fee_free_per_month: int = 0
    fee_charged: Decimal = Decimal(0)


class LedgerEntry(BaseModel):
    """Asset of a ledger, and how many decimal places one unit of the asset has.

    Attributes:
        asset: The asset that is counted.
        scale: Decimal places of one unit.
        rail_assets: Assets of rails that are booked 1:1; the asset itself when not given.
        hold_days_max: How many days a hold without a timeout may stay open.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    asset: Asset
    scale: Annotated[int, Field(ge=0, le=SCALE_MAX, strict=True)]
    rail_assets: tuple[RailAsset, ...] | None = None
    hold_days_max: Annotated[int, Field(ge=1, le=3650, strict=True)] = 1

    def row(self, number: int) -> Row:
        """Returns the entry as a row."""
        rail_assets = (self.asset,) if self.rail_assets is None else self.rail_assets
        return Row(
            "ledger",
            number,
            self.asset,
            self.scale,
            rail_assets=tuple(sorted(set(rail_assets))),
            hold_days_max=self.hold_days_max,
        )


class _Named(BaseModel):
    """A code with a name; `100: treasury` is short for `100: {name: treasury}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, given: object) -> object:
        return given if isinstance(given, dict | BaseModel) else {"name": given}


class AccountCode(_Named):
    """Meaning of an account code.

    Attributes:
        name: The type of account.
        is_rail_side: Whether such an account is the platform's own side of payments on a rail;
            when not given, whether it is named treasury.
    """

    is_rail_side: Annotated[bool, Field(strict=True)] | None = None

    def row(self, number: int) -> Row:
        """Returns the entry as a row."""
        stated = self.is_rail_side
        is_rail_side = self.name == TREASURY if stated is None else stated
        return Row("account_code", number, self.name, is_rail_side=int(is_rail_side))


class TransferCode(_Named):
    """Meaning of a transfer code.

    Attributes:
        name: The type of transfer.
        needs: What must be told of such a transfer beside the ledger; None when that is not said.
        within_s: Seconds after the transfer within which that must be told.
    """

    needs: Literal["request", "session", "settlement", "nothing"] | None = None
    within_s: Annotated[int, Field(ge=1, le=_YEAR_S, strict=True)] = _DAY_S

    def row(self, number: int) -> Row:
        """Returns the entry as a row."""
        needs = self.needs or ""
        return Row("transfer_code", number, self.name, needs=needs, within_s=self.within_s)


class Chart(BaseModel):
    """A whole chart; see chart.yaml, the packaged one, for what each part means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ledgers: Annotated[dict[Ledger, LedgerEntry], Field(min_length=1)]
    account_codes: dict[Code, AccountCode]
    transfer_codes: dict[Code, TransferCode]
    resource_types: dict[ResourceType, Name]
    facilitators: Annotated[
        dict[Name, Facilitator],
        AfterValidator(have_each_address_once),
    ] = Field(default_factory=dict)

    def entries(self) -> set[Row]:
        """Returns the chart as rows of masques_ops.chart_entries."""
        coded = (self.ledgers, self.account_codes, self.transfer_codes)
        return {
            *(entry.row(number) for entries in coded for number, entry in entries.items()),
            *(Row("resource_type", number, name) for number, name in self.resource_types.items()),
            *(Row(**each) for each in rows_of(self.facilitators)),
        }

    def parameters(self, version: int) -> dict[str, Any]:
        """Returns the chart as the arrays of write_transactions.sql, each with the codes' names.

        The version is the one that load_chart gave it.

        Number 0, which the ledger refuses for ledgers and codes, stands for itself: the engine
        takes no empty array there.
        """
        return {
            "ledgers": [0, *self.ledgers],
            "assets": ["ledger_0", *(entry.asset for entry in self.ledgers.values())],
            "scales": [0, *(entry.scale for entry in self.ledgers.values())],
            "codes": [0, *self.transfer_codes],
            "transaction_types": ["code_0", *(each.name for each in self.transfer_codes.values())],
            "resource_codes": [0, *self.resource_types],
            "resource_types": ["type_0", *self.resource_types.values()],
            "chart_version": version,
        }

    def account_parameters(self) -> dict[str, Any]:
        """Returns the chart as the arrays of write_accounts.sql; number 0 as in parameters()."""
        ledgers = {name: self.parameters(0)[name] for name in ("ledgers", "assets", "scales")}
        return {
            **ledgers,
            "codes": [0, *self.account_codes],
            "account_types": ["code_0", *(each.name for each in self.account_codes.values())],
        }


def placeholder(kind: str, number: int) -> str:
    """Returns what the rows call a number that the chart does not know, as the writers do."""
    return f"{_PLACEHOLDERS[kind]}_{number}"


def read_chart(path: Path | None) -> Chart:
    """Reads and validates a chart.

    Args:
        path: The file, or None for the packaged chart.

    Raises:
        ChartError: The file cannot be read, is not YAML, has a key twice, or a bad entry.
    """
    source = path or importlib.resources.files("masques_pipelines.ledger") / "chart.yaml"
    try:
        text = source.read_text(encoding="utf-8")
        content = load_yaml(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ChartError(f"{source}: the chart cannot be read: {error}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ChartError(f"{source}: line {line}: {error.problem}: correct the chart") from error
    try:
        return Chart.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part != "[key]") or "the file"
        more = error.error_count() - 1
        others = f" (and {more} more)" if more else ""
        line = line_of(text, first["loc"])
        raise ChartError(
            f"{source}: line {line}: {place}: {first['msg']}, got {first['input']!r}{others}: "
            "correct the chart"
        ) from error


def load_chart(warehouse: Warehouse, chart: Chart) -> int:
    """Makes the warehouse's chart this one; returns its version, which rows are written with.

    Words may be renamed and reused: rows keep the numbers, and the version that gave their words.

    Raises:
        ChartError: A ledger that the warehouse knows is gone from the chart or has another asset or
            scale. Rows were written with the old one, so the money would not add up.
    """
    rows = warehouse.rows(_IN_FORCE)
    loaded = {
        Row._make(tuple(each) if isinstance(each, list) else each for each in row)
        for *row, _version in rows
    }
    in_force = int(rows[0][-1]) if rows else 0
    wanted = chart.entries()
    if loaded == wanted:
        return in_force
    _check_ledgers_stay(loaded, chart)
    version = max(time.time_ns(), in_force + 1)  # a clock that was set back changes nothing
    warehouse.insert_rows(
        "masques_ops.chart_entries",
        ["version", *_COLUMNS],
        [[version, *entry] for entry in sorted(wanted)],
    )
    return version


def _check_ledgers_stay(loaded: set[Row], chart: Chart) -> None:
    for entry in sorted(entry for entry in loaded if entry.kind == "ledger"):
        ledger, asset, scale = entry.code, entry.name, entry.scale
        now = chart.ledgers.get(ledger)
        if now is None or (now.asset, now.scale) != (asset, scale):
            is_now = f"{now.asset} with scale {now.scale}" if now else "not in it"
            raise ChartError(
                f"ledger {ledger} was {asset} with scale {scale} and is {is_now} in the chart: "
                "rows are written with the old meaning; put the entry back, and give another "
                "scale or asset another ledger number"
            )
