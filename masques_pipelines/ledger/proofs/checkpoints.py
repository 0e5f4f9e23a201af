"""Checkpoints: proven balances of all accounts at one ledger time, from which later proofs start.

A checkpoint counts when its row in masques_ops.balance_checkpoints is there, which is written last;
what a killed run left of one is dropped by the next.
"""

from datetime import UTC, datetime
from typing import Final

from masques_pipelines.ledger.proofs.position import Position, read_position
from masques_pipelines.ledger.proofs.sealed import SEQUENCE_MAX, Anchor, sealed_months
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
_KEPT_COLUMNS: Final = (
    "checkpoint_ns",
    "base_ns",
    "accounts",
    "open_holds",
    "sealed_sequence",
    "sealed_digest",
    "sealed_events",
    "is_opening",
)
_COLUMNS: Final = (*_KEPT_COLUMNS, "state", "recorded_at")
_SEAL_AT: Final = (
    "SELECT sequence, digest FROM masques_ops.ledger_seals "
    "WHERE sequence > {from:UInt64} AND sequence <= {to:UInt64} AND to_ns <= {to_ns:UInt64} "
    "ORDER BY sequence DESC LIMIT 1"
)
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
    proved_sequence: int = SEQUENCE_MAX,
) -> int | None:
    """Writes a checkpoint when one is due.

    Args:
        warehouse: Where the copy is.
        position: That of proofs which all held.
        events_per_checkpoint: One is due after so many events, or a day.
        proved_sequence: The newest seal that these proofs saw.

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
        drop_unfinished(warehouse)
        bounds = {"base_ns": position.checkpoint_ns, "checkpoint_ns": checkpoint_ns}
        for step in _STEPS:
            lease.hold()
            warehouse.command(sql(f"ledger/proofs/{step}"), bounds, **_SETTINGS)
        sealed = _sealed(warehouse, checkpoint_ns, position.anchor, proved_sequence)
        record_checkpoint(warehouse, checkpoint_ns, position.checkpoint_ns, sealed)
        _prune(warehouse)
    return checkpoint_ns


def renew_checkpoints(warehouse: Warehouse) -> None:
    """Drops all checkpoints and the account history; the next proof writes them again from zero.

    For when a checkpoint itself was damaged: `masques verify --full` finds that. An
    opening checkpoint is read from the ledger again by the checks of the next sync.
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


def _sealed(warehouse: Warehouse, to_ns: int, before: Anchor, proved_sequence: int) -> Anchor:
    """Returns the newest seal that ends at or before a checkpoint, with the events up to it."""
    rows = warehouse.rows(
        _SEAL_AT, {"from": before.sequence, "to": proved_sequence, "to_ns": to_ns}
    )
    if not rows:
        return before
    sequence, digest = int(rows[0][0]), str(rows[0][1])
    months, _ = sealed_months(warehouse, before, to_sequence=sequence)
    return Anchor(sequence, digest, months)


def record_checkpoint(
    warehouse: Warehouse,
    checkpoint_ns: int,
    base_ns: int,
    sealed: Anchor,
    *,
    is_opening: bool = False,
) -> None:
    """Records a checkpoint whose balances and holds are there; from now on it counts."""
    accounts, holds = warehouse.row(
        sql("ledger/proofs/checkpoint_counts"), {"checkpoint_ns": checkpoint_ns}
    )
    warehouse.insert_rows(
        "masques_ops.balance_checkpoints",
        _COLUMNS,
        [
            [
                checkpoint_ns,
                base_ns,
                int(accounts),
                int(holds),
                sealed.sequence,
                sealed.digest,
                dict(sealed.events),
                int(is_opening),
                "proven",
                datetime.now(UTC),
            ]
        ],
    )


def drop_unfinished(warehouse: Warehouse) -> None:
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
            [[*(row[name] for name in _KEPT_COLUMNS), "pruned", datetime.now(UTC)]],
        )


def _drop_partition(warehouse: Warehouse, table: str, checkpoint_ns: int) -> None:
    warehouse.command(f"ALTER TABLE masques_ops.{table} DROP PARTITION {checkpoint_ns}")
