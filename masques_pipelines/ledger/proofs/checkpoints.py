"""Checkpoints: proven balances of all accounts at one ledger time, from which later proofs start.

A checkpoint counts when its row in masques_ops.balance_checkpoints is there, which is written last;
what a killed run left of one is dropped by the next.
"""

from datetime import UTC, datetime
from typing import Final

from masques_pipelines.ledger.proofs.position import Position, read_position
from masques_pipelines.ledger.transactions import LEASE
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import writer_lease
from masques_pipelines.warehouse.sql import sql

# Proofs look at no more events than these, or at a day's.
EVENTS_PER_CHECKPOINT: Final = 1_000_000
_DAY_NS: Final = 86_400 * 10**9
_STEPS: Final = ("checkpoint_balances", "checkpoint_holds", "account_days")
_TABLES: Final = ("checkpoint_balances", "checkpoint_holds")
# A batch of days may span the 7 years of retention; partitions of account_days are years.
_SETTINGS: Final = {"max_partitions_per_insert_block": 200}
_COLUMNS: Final = ("checkpoint_ns", "base_ns", "accounts", "open_holds", "state", "recorded_at")
_EVENTS: Final = (
    "SELECT count() FROM masques.transactions "
    "WHERE timestamp > fromUnixTimestamp64Nano({base_ns:Int64}, 'UTC') "
    "AND timestamp <= fromUnixTimestamp64Nano({until_ns:Int64}, 'UTC')"
)
_UNRECORDED: Final = (
    "SELECT DISTINCT partition FROM system.parts "
    "WHERE database = 'masques_ops' AND table = {table:String} AND active "
    "AND toUInt64(partition) NOT IN (SELECT checkpoint_ns FROM masques_ops.balance_checkpoints)"
)


def advance_checkpoint(
    warehouse: Warehouse,
    position: Position,
    *,
    events_per_checkpoint: int = EVENTS_PER_CHECKPOINT,
) -> int | None:
    """Writes a checkpoint when one is due.

    Args:
        warehouse: Where the copy is.
        position: That of proofs which all held.
        events_per_checkpoint: One is due after so many events, or a day.

    Returns:
        Its ledger time, or None when none was due.

    Raises:
        LeaseBusyError, LeaseLostError: Another process writes to the same server.
    """
    if _due_ns(warehouse, position, events_per_checkpoint) is None:
        return None
    with writer_lease(warehouse, LEASE) as lease:
        position = read_position(warehouse)  # another process may have written one meanwhile
        checkpoint_ns = _due_ns(warehouse, position, events_per_checkpoint)
        if checkpoint_ns is None:
            return None
        _drop_unfinished(warehouse)
        bounds = {"base_ns": position.checkpoint_ns, "checkpoint_ns": checkpoint_ns}
        for step in _STEPS:
            lease.hold()
            warehouse.command(sql(f"ledger/proofs/{step}"), bounds, **_SETTINGS)
        _record(warehouse, checkpoint_ns, base_ns=position.checkpoint_ns)
        _prune(warehouse)
    return checkpoint_ns


def renew_checkpoints(warehouse: Warehouse) -> None:
    """Drops all checkpoints and the account history; the next proof writes them again from zero.

    For when a checkpoint itself was damaged: `masques verify --full` finds that.
    """
    with writer_lease(warehouse, LEASE):
        for table in ("balance_checkpoints", *_STEPS):
            warehouse.command(f"TRUNCATE TABLE masques_ops.{table}")


def _due_ns(warehouse: Warehouse, position: Position, events_per_checkpoint: int) -> int | None:
    """Returns the time for a new checkpoint: proved by all readings, and settled."""
    if position.accounts == 0 or position.obstacle:
        return None
    newest_ns = min(position.first_reading_ns, position.settled_ns)
    if newest_ns <= position.checkpoint_ns:
        return None
    if newest_ns // _DAY_NS > position.checkpoint_ns // _DAY_NS:
        return newest_ns
    events = warehouse.scalar(_EVENTS, {"base_ns": position.checkpoint_ns, "until_ns": newest_ns})
    return newest_ns if events >= events_per_checkpoint else None


def _record(warehouse: Warehouse, checkpoint_ns: int, *, base_ns: int) -> None:
    accounts, holds = warehouse.row(
        sql("ledger/proofs/checkpoint_counts"), {"checkpoint_ns": checkpoint_ns}
    )
    warehouse.insert_rows(
        "masques_ops.balance_checkpoints",
        _COLUMNS,
        [[checkpoint_ns, base_ns, int(accounts), int(holds), "proven", datetime.now(UTC)]],
    )


def _drop_unfinished(warehouse: Warehouse) -> None:
    """Drops what a killed run left: parts of a checkpoint that was never recorded."""
    for table in _TABLES:
        for (partition,) in warehouse.rows(_UNRECORDED, {"table": table}):
            _drop_partition(warehouse, table, int(partition))


def _prune(warehouse: Warehouse) -> None:
    """Keeps the two newest checkpoints, and the last of each month for when events grow too old."""
    for row in warehouse.records(sql("ledger/proofs/prunable_checkpoints")):
        for table in _TABLES:
            _drop_partition(warehouse, table, int(row["checkpoint_ns"]))
        warehouse.insert_rows(
            "masques_ops.balance_checkpoints",
            _COLUMNS,
            [[*(row[name] for name in _COLUMNS[:4]), "pruned", datetime.now(UTC)]],
        )


def _drop_partition(warehouse: Warehouse, table: str, checkpoint_ns: int) -> None:
    warehouse.command(f"ALTER TABLE masques_ops.{table} DROP PARTITION {checkpoint_ns}")
