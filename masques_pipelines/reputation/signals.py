"""Signals that the pipeline derives from its own tables.

Here: writing them into masques.reputation_events.
Not here: events that others report (intake), and what a signal weighs (sql/014_evidence.sql).
A re-run writes only signals that are not there yet: each has the id that its fact always gives it.
"""

from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql


def write_signals(warehouse: Warehouse) -> int:
    """Writes the signals of facts that came in since; returns how many there were.

    Event types: hold_posted and payment_settled (kept promises), hold_expired, settlement_failed,
    refund, double_pay_suspect, key_rotated.
    """
    warehouse.command(sql("reputation/write_keys"))
    before = int(warehouse.scalar(sql("reputation/signals_total")))
    warehouse.command(sql("reputation/write_signals"))
    return int(warehouse.scalar(sql("reputation/signals_total"))) - before
