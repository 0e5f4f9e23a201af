"""Writes what the nodes and the gate say beside settlements: balances, and lines as facts.

Both may be written twice: a row has the key of its fact.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from masques_pipelines.rails.protocol import BalanceReading, JournalEvent
from masques_pipelines.warehouse.client import Warehouse

_BALANCE_COLUMNS: Final = (
    "rail",
    "network",
    "asset",
    "address",
    "line",
    "is_flow",
    "currency",
    "balance",
    "block",
    "block_hash",
    "finality",
    "read_at",
    "problem",
    "recorded_at",
)
_EVENT_COLUMNS: Final = (
    "event_id",
    "time",
    "kind",
    "protocol",
    "scheme",
    "network",
    "settlement_id",
    "reference",
    "outcome",
    "error_reason",
    "latency_ms",
    "transaction_ids",
    "source",
    "line_no",
    "recorded_at",
)


def write_balances(
    warehouse: Warehouse,
    key: tuple[str, str],
    readings: Sequence[BalanceReading],
    *,
    now: datetime,
) -> None:
    """Writes balances of a rail; `key` is its name and network."""
    warehouse.insert_rows(
        "masques_ops.rail_balances",
        _BALANCE_COLUMNS,
        [
            (
                *key,
                each.asset,
                each.address,
                each.line,
                int(each.is_flow),
                each.currency,
                each.balance or 0,
                each.block,
                each.block_hash,
                each.finality,
                each.read_at_ns,
                each.problem or ("" if each.balance is not None else "not known"),
                now,
            )
            for each in readings
        ],
    )


def write_events(warehouse: Warehouse, events: Sequence[JournalEvent], *, now: datetime) -> None:
    """Writes lines of the journal as facts."""
    warehouse.insert_rows(
        "masques_ops.journal_events",
        _EVENT_COLUMNS,
        [
            (
                each.event_id,
                each.time_ns,
                each.kind,
                each.protocol,
                each.scheme,
                each.network,
                each.settlement_id,
                each.reference,
                each.outcome,
                each.error_reason,
                each.latency_ms,
                list(each.transaction_ids),
                each.source,
                each.line_no,
                now,
            )
            for each in events
        ],
    )
