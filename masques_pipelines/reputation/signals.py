"""Derives reputation events from the other tables.

Writes only events that are not there yet: the id of an event is derived from its fact.
"""

from collections.abc import Sequence
from typing import Final

from masques_pipelines.inventory.compare import damaged
from masques_pipelines.inventory.tables import EVENTS, PIPELINE
from masques_pipelines.inventory.writes import counted
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import writer_lease
from masques_pipelines.warehouse.sql import sql

LEASE: Final = "signals"
_EMPTY: Final = "TRUNCATE TABLE masques_ops.signals_due"
_TOTAL: Final = "SELECT count() FROM masques.reputation_events WHERE channel = 'pipeline'"


def write_signals(warehouse: Warehouse, *, since: str = "1970-01-01 00:00:00") -> int:
    """Writes the events of facts that came in since then; returns their number.

    Event types: hold_posted and payment_settled (kept promises), settlement_failed, key_rotated.
    """
    warehouse.command(sql("reputation/write_keys"))
    with writer_lease(warehouse, LEASE):
        before = int(warehouse.scalar(_TOTAL))
        warehouse.command(_EMPTY)
        warehouse.command(sql("reputation/derive_signals"), {"since": since})
        warehouse.command(sql("reputation/rename_taken_signals"))
        lost = _lost_days(warehouse)
        if lost:
            with counted(warehouse, EVENTS, PIPELINE, restores=lost):
                _publish(warehouse, lost)
        with counted(warehouse, EVENTS, PIPELINE):
            # Keys first: a kill leaves keys without rows, never rows that the intake does not know.
            warehouse.command(sql("reputation/write_signal_keys"))
            _publish(warehouse, ())
        return int(warehouse.scalar(_TOTAL)) - before


def _lost_days(warehouse: Warehouse) -> list[str]:
    """Returns the days that have lost rows, and of which signals are due that were written once."""
    days = {str(day) for (day,) in warehouse.rows(sql("reputation/days_of_known_signals"))}
    if not days:
        return []
    with counted(warehouse, EVENTS, PIPELINE):
        pass  # what a killed run left is counted before anything is compared
    return sorted(days & {*damaged(warehouse, EVENTS)})


def _publish(warehouse: Warehouse, lost: Sequence[str]) -> None:
    """Writes the signals that are due: of some days those that were written once, or all."""
    warehouse.command(sql("reputation/publish_signals"), {"lost": list(lost)})
