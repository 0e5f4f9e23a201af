"""Bounds the log of evidence: what was cancelled long ago is taken out of it.

A change of evidence appends a cancelling row and a new one, so the log grows with each change of
mind. A row that was cancelled more than KEPT_DAYS ago changes no score of any moment since then;
scores of earlier moments are computed from what was known KEPT_DAYS ago, and say so in the
documentation. The caller holds the lease of the facts.

A month is swapped as a whole: a kill leaves it as it was, or compacted.
"""

from collections.abc import Callable
from typing import Final

from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

KEPT_DAYS: Final = 180
_COMPACTED: Final = "masques_ops.reputation_evidence_compacted"
_DROP: Final = f"DROP TABLE IF EXISTS {_COMPACTED}"
# For a while, on this server only: no replica has it.
_MAKE: Final = (
    f"CREATE TABLE {_COMPACTED} AS masques_ops.reputation_evidence ENGINE = MergeTree "
    "PARTITION BY toYYYYMM(timestamp) ORDER BY (identity_id, category_code, voice)"
)
_ROWS: Final = f"SELECT count() FROM {_COMPACTED}"  # noqa: S608 - a constant


def compact_evidence(
    warehouse: Warehouse,
    *,
    kept_days: int = KEPT_DAYS,
    before_step: Callable[[], None] = lambda: None,
) -> int:
    """Takes rows that were cancelled long ago, and what cancelled them, out of the evidence.

    Args:
        warehouse: Where the evidence is.
        kept_days: What was cancelled within so many days stays.
        before_step: Called before each month: renews the lease.

    Returns:
        How many rows were taken out.
    """
    bounds = {"kept_days": kept_days}
    removed = 0
    for month, before in warehouse.rows(sql("reputation/months_with_cancelled"), bounds):
        before_step()
        warehouse.command(_DROP)
        warehouse.command(_MAKE)
        warehouse.command(sql("reputation/compact_evidence"), {**bounds, "month": int(month)})
        rows = int(warehouse.scalar(_ROWS))
        # An empty table never replaces a month.
        swap = f"REPLACE PARTITION {month} FROM {_COMPACTED}" if rows else f"DROP PARTITION {month}"
        warehouse.command(f"ALTER TABLE masques_ops.reputation_evidence {swap}")
        warehouse.command(_DROP)
        removed += int(before) - rows
    return removed
