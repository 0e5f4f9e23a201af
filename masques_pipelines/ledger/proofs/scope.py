"""The scope of one pass over the proofs: position, scales of the chart and options, read once."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from masques_pipelines.ledger.proofs.position import Position, read_position
from masques_pipelines.ledger.proofs.sealed import SEQUENCE_MAX, Anchor
from masques_pipelines.money import amount_text, whole_units
from masques_pipelines.warehouse.client import Warehouse

# Imports may have landed behind a reading of the accounts.
_IMPORTS: Final = (
    "SELECT countIf(bitAnd(flags, 256) != 0) FROM masques.transactions "
    "WHERE timestamp > fromUnixTimestamp64Nano({base_ns:Int64}, 'UTC') "
    "AND timestamp <= fromUnixTimestamp64Nano({until_ns:Int64}, 'UTC')"
)
_LEDGERS: Final = "SELECT ledger, asset, scale FROM masques_ops.chart_ledgers"


@dataclass(frozen=True)
class Scope:
    """One pass over the tables.

    Attributes:
        warehouse: Where the copy is.
        position: From where to where the proofs go.
        recompute_after_ns: The rows of sealed batches that end after this are recomputed; 0 for
            all of them.
        anchor: Up to where the chain of seals is taken as proved.
        to_sequence: The last seal that is looked at; without one the rows after it are too.
        excuses_imports: Whether a difference may come from imports that landed behind a reading.
        after_sync: Whether this follows a sync, and says what it had to put right.
        kept: Digests of seals that were kept elsewhere and must be in the chain, each with its
            sequence number; 0 when that is not known.
    """

    warehouse: Warehouse
    position: Position
    recompute_after_ns: int = 0
    anchor: Anchor = field(default_factory=Anchor)
    to_sequence: int = SEQUENCE_MAX
    excuses_imports: bool = True
    after_sync: bool = False
    kept: dict[str, int] = field(default_factory=dict)

    @functools.cached_property
    def _ledgers(self) -> dict[int, tuple[str, int]]:
        rows = self.warehouse.rows(_LEDGERS)
        return {int(ledger): (str(asset), int(scale)) for ledger, asset, scale in rows}

    def imports(self, until_ns: int) -> int:
        """Returns how many events since the start of the pass were imported."""
        bounds = {"base_ns": self.position.base_ns, "until_ns": until_ns}
        return int(self.warehouse.scalar(_IMPORTS, bounds))

    def money(self, ledger: int, raw: int) -> str:
        """Returns a raw amount of a ledger in whole units, for instance "12.500000 USD"."""
        asset, scale = self._ledgers.get(int(ledger), (f"ledger_{ledger}", 0))
        return amount_text(whole_units(int(raw), scale), asset)


def read_scope(
    warehouse: Warehouse, *, from_beginning: bool = False, kept: Mapping[str, int] | None = None
) -> Scope:
    """Reads the position of a pass that recomputes every sealed batch."""
    return Scope(
        warehouse,
        read_position(warehouse, from_beginning=from_beginning),
        kept=dict(kept or {}),
    )


def read_scope_of_news(warehouse: Warehouse) -> Scope:
    """Reads the position of a pass over what is new since the newest checkpoint."""
    position = read_position(warehouse)
    return Scope(
        warehouse,
        position,
        recompute_after_ns=position.base_ns,
        anchor=position.anchor,
    )
