"""Derives reputation events from the other tables.

Writes only events that are not there yet: the id of an event is derived from its fact.
"""

from typing import Final

from masques_pipelines.inventory.tables import EVENTS, PIPELINE
from masques_pipelines.inventory.writes import counted
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import writer_lease
from masques_pipelines.warehouse.sql import sql

LEASE: Final = "signals"
_EMPTY: Final = "TRUNCATE TABLE masques_ops.signals_due"
_STEPS: Final = ("write_signal_keys", "publish_signals")
_TOTAL: Final = "SELECT count() FROM masques.reputation_events WHERE channel = 'pipeline'"


def write_signals(warehouse: Warehouse, *, since: str = "1970-01-01 00:00:00") -> int:
    """Writes the events of facts that came in since then; returns their number.

    Event types: hold_posted and payment_settled (kept promises), settlement_failed, key_rotated.
    """
    warehouse.command(sql("reputation/write_keys"))
    with writer_lease(warehouse, LEASE), counted(warehouse, EVENTS, PIPELINE):
        before = int(warehouse.scalar(_TOTAL))
        warehouse.command(_EMPTY)
        # Keys first: a kill leaves keys without rows, never a row that the intake does not know.
        warehouse.command(sql("reputation/derive_signals"), {"since": since})
        for step in _STEPS:
            warehouse.command(sql(f"reputation/{step}"))
        return int(warehouse.scalar(_TOTAL)) - before
