"""The chart: the asset and scale of each ledger, the meaning of account, transfer, resource codes.

Reads and validates a chart file, and loads it into masques_ops for the views there. A changed chart
becomes a new version as one insert, so that the views change from one row to the next, never half.
"""

import importlib.resources
import time
from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from masques_pipelines.errors import PermanentError
from masques_pipelines.money import SCALE_MAX
from masques_pipelines.warehouse.client import Warehouse

_IN_FORCE: Final = (
    "SELECT DISTINCT kind, code, name, scale, version FROM masques_ops.chart_entries "
    "WHERE version = (SELECT max(version) FROM masques_ops.chart_entries)"
)

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


Name = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", strict=True), AfterValidator(_not_a_placeholder)
]


class ChartError(PermanentError):
    """The chart cannot be used; the text names the file and the entry."""


class LedgerEntry(BaseModel):
    """Asset of a ledger, and how many decimal places one unit of the asset has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    asset: Asset
    scale: Annotated[int, Field(ge=0, le=SCALE_MAX, strict=True)]


class Chart(BaseModel):
    """A whole chart; see chart.yaml, the packaged one, for what each part means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ledgers: Annotated[dict[Ledger, LedgerEntry], Field(min_length=1)]
    account_codes: dict[Code, Name]
    transfer_codes: dict[Code, Name]
    resource_types: dict[ResourceType, Name]

    def entries(self) -> set[tuple[str, int, str, int]]:
        """Returns the chart as rows of masques_ops.chart_entries: (kind, code, name, scale)."""
        ledgers = {("ledger", n, entry.asset, entry.scale) for n, entry in self.ledgers.items()}
        codes = (
            ("account_code", self.account_codes),
            ("transfer_code", self.transfer_codes),
            ("resource_type", self.resource_types),
        )
        named = {(kind, code, name, 0) for kind, names in codes for code, name in names.items()}
        return ledgers | named

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
            "transaction_types": ["code_0", *self.transfer_codes.values()],
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
            "account_types": ["code_0", *self.account_codes.values()],
        }


def placeholder(kind: str, number: int) -> str:
    """Returns what the rows call a number that the chart does not know, as the writers do."""
    return f"{_PLACEHOLDERS[kind]}_{number}"


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that is there twice; plain YAML silently takes the later one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - the base class's signature
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key} is there twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


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
        content = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader's subclass
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
        raise ChartError(
            f"{source}: {place}: {first['msg']}, got {first['input']!r}{others}: correct the chart"
        ) from error


def load_chart(warehouse: Warehouse, chart: Chart) -> int:
    """Makes the warehouse's chart this one; returns its version, which rows are written with.

    Words may be renamed and reused: rows keep the numbers, and the version that gave their words.

    Raises:
        ChartError: A ledger that the warehouse knows is gone from the chart or has another asset or
            scale. Rows were written with the old one, so the money would not add up.
    """
    rows = warehouse.rows(_IN_FORCE)
    loaded = {(str(kind), int(code), str(name), int(scale)) for kind, code, name, scale, _ in rows}
    in_force = int(rows[0][-1]) if rows else 0
    wanted = chart.entries()
    if loaded == wanted:
        return in_force
    _check_ledgers_stay(loaded, chart)
    version = max(time.time_ns(), in_force + 1)  # a clock that was set back changes nothing
    warehouse.insert_rows(
        "masques_ops.chart_entries",
        ["version", "kind", "code", "name", "scale"],
        [[version, *entry] for entry in sorted(wanted)],
    )
    return version


def _check_ledgers_stay(loaded: set[tuple[str, int, str, int]], chart: Chart) -> None:
    for _, ledger, asset, scale in sorted(entry for entry in loaded if entry[0] == "ledger"):
        now = chart.ledgers.get(ledger)
        if now is None or (now.asset, now.scale) != (asset, scale):
            is_now = f"{now.asset} with scale {now.scale}" if now else "not in it"
            raise ChartError(
                f"ledger {ledger} was {asset} with scale {scale} and is {is_now} in the chart: "
                "rows are written with the old meaning; put the entry back, and give another "
                "scale or asset another ledger number"
            )
