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
_STEPS: Final = ("derive_signals", "write_signal_keys", "publish_signals")
_TOTAL: Final = """
SELECT count() FROM masques.reputation_events WHERE attributes['source'] = 'pipeline'
"""


def write_signals(warehouse: Warehouse) -> int:
    """Writes the events of new facts; returns their number.

    Event types: hold_posted and payment_settled (kept promises), hold_expired, settlement_failed,
    refund, double_pay_suspect, key_rotated.
    """
    warehouse.command(sql("reputation/write_keys"))
    with writer_lease(warehouse, LEASE), counted(warehouse, EVENTS, PIPELINE):
        before = int(warehouse.scalar(_TOTAL))
        warehouse.command(_EMPTY)
        # Keys first: a kill leaves keys without rows, never a row that the intake does not know.
        for step in _STEPS:
            warehouse.command(sql(f"reputation/{step}"))
        return int(warehouse.scalar(_TOTAL)) - before
