"""What a proof says, in the same shape for all proofs.

Here: the result, amounts in words, and the record of how proofs ended.
Not here: any proof.
A re-run appends to the record; it is never changed.
"""

import decimal
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from masques_pipelines.warehouse.client import Warehouse

Outcome = Literal["holds", "fails", "inconclusive"]
# A u128 has 39 digits; sums and scales need more.
DECIMALS: Final = decimal.Context(prec=80)


@dataclass(frozen=True)
class Proof:
    """How a proof ended.

    Attributes:
        name: What was to be proved.
        outcome: "inconclusive" says that something must happen first, and `summary` says what.
        summary: One line.
        findings: One line for each account, hold or batch that contradicts it, the first 20.
        numbers: What was counted, for metadata.
        is_warning: A finding that people should see, and that makes no row wrong.
    """

    name: str
    outcome: Outcome
    summary: str
    findings: tuple[str, ...] = ()
    numbers: Mapping[str, int | float | str] = field(default_factory=dict)
    is_warning: bool = False

    @property
    def holds(self) -> bool:
        """Whether it was proved."""
        return self.outcome == "holds"


class Money:
    """Raw amounts in words: whole units and the currency, by the chart."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    @functools.cached_property
    def _ledgers(self) -> dict[int, tuple[str, int]]:
        rows = self._warehouse.rows("SELECT ledger, asset, scale FROM masques_ops.chart_ledgers")
        return {int(ledger): (str(asset), int(scale)) for ledger, asset, scale in rows}

    def text(self, ledger: int, raw: int) -> str:
        """Returns, for instance, "12.500000 USD"."""
        asset, scale = self._ledgers.get(int(ledger), (f"ledger_{ledger}", 0))
        return f"{DECIMALS.scaleb(decimal.Decimal(int(raw)), -scale):f} {asset}"


def record_proofs(warehouse: Warehouse, proofs: Mapping[str, Proof]) -> None:
    """Notes how proofs ended in masques_ops.proofs."""
    recorded_at = datetime.now(UTC)
    warehouse.insert_rows(
        "masques_ops.proofs",
        ["proof", "outcome", "detail", "recorded_at"],
        [
            [name, proof.outcome, "\n".join((proof.summary, *proof.findings)), recorded_at]
            for name, proof in proofs.items()
        ],
    )
