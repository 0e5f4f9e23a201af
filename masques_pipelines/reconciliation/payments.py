"""Compares requests, sessions, ledger and settlements, and writes what is said of each payment.

A run looks only at items that a new row is about, or whose deadline the sides have been read past,
and writes only what changed: what should be said, less what was said. So the next run completes one
that was killed. When the log is not what the last run left (rows lost, or there twice), everything
is compared.

Facts that vanished are not new, so every FULL_EVERY_S a run compares everything too. Items older
than requests are kept (KEPT_DAYS) keep what was said of them at the gate.
"""

from dataclasses import dataclass
from typing import Any, Final

from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import Lease, writer_lease
from masques_pipelines.warehouse.sql import sql

LEASE: Final = "reconciliation"
# No statement takes two thirds of it: each is about one part.
LEASE_S: Final = 120.0
# Rows of transactions, requests and settlements in one part: about 150,000 payments, whose wide
# rows take some 0.5 GB of the engine's memory while they are joined.
PART_ROWS: Final = 500_000
FULL_EVERY_S: Final = 86_400
# Requests are kept for a year, by the day; a month less, so that nothing is judged while they go.
KEPT_DAYS: Final = 335
# How far from a transfer, in nanoseconds, the others of its linked chain are looked for.
CHAIN_MOST: Final = 256
# As in reputation/facts.py: a row carries the time at which its insert began.
OVERLAP_SERVER_MS: Final = 15 * 60 * 1000
OVERLAP_EMBEDDED_MS: Final = 10
_KEPT_FROM: Final = """
SELECT toString(if(max(watermark_ns) = 0, toDateTime64(0, 6, 'UTC'), toDateTime64(
    fromUnixTimestamp64Nano(toInt64(max(watermark_ns)), 'UTC') - toIntervalDay({days:UInt32}),
    6, 'UTC')))
FROM masques_ops.ledger_syncs
"""
_NEW_ROWS: Final = """
SELECT
    (SELECT count() FROM masques.transactions WHERE ingested_at >= {since:DateTime64(6, 'UTC')})
    + (SELECT count() FROM masques.api_requests WHERE ingested_at >= {since:DateTime64(6, 'UTC')})
    + (SELECT count() FROM masques.settlements WHERE ingested_at >= {since:DateTime64(6, 'UTC')})
"""
_TOUCHED: Final = "SELECT count() FROM masques_ops.payments_touched"
_WRITTEN: Final = """
SELECT count() FROM masques_ops.payments_log WHERE known_from = {began_at:DateTime64(6, 'UTC')}
"""


@dataclass(frozen=True)
class Comparison:
    """One run.

    Attributes:
        began_at: When it began, as the engine writes times, in UTC.
        is_full: Whether everything was compared, not only what was new.
        rows_written: Rows of the log: one for a new payment, two for a changed one.
    """

    began_at: str
    is_full: bool
    rows_written: int


def compare_payments(warehouse: Warehouse, *, full: bool = False) -> Comparison:
    """Writes what changed of what is said about payments since the last run.

    Args:
        warehouse: Takes the rows. Against a server the lease excludes a second run, which would
            take the same rows back once more.
        full: Compare everything, not only what is new.

    Raises:
        LeaseBusyError, LeaseLostError: Another process compares payments on the same server.
    """
    with writer_lease(warehouse, LEASE, duration_s=LEASE_S, wait_s=LEASE_S + 10) as lease:
        return _Run(warehouse, lease).compare(full=full)


@dataclass(frozen=True)
class _Run:
    warehouse: Warehouse
    lease: Lease

    def compare(self, *, full: bool) -> Comparison:
        overlap_ms = OVERLAP_SERVER_MS if self.warehouse.is_server else OVERLAP_EMBEDDED_MS
        began_at, since, is_due, chart_version, facts = self.warehouse.row(
            sql("reconciliation/runs"), {"overlap_ms": overlap_ms, "full_every_s": FULL_EVERY_S}
        )
        # New rows are compared in one piece, everything in parts.
        is_full = bool(full or is_due or self._count(_NEW_ROWS, since=since) > PART_ROWS)
        kept_from = self.warehouse.scalar(_KEPT_FROM, {"days": KEPT_DAYS})
        run = {"began_at": str(began_at), "kept_from": str(kept_from)}
        self._run_step(
            "begin_run",
            began_at=run["began_at"],
            is_full=int(is_full),
            chart_version=int(chart_version or 0),
        )
        if is_full:
            self._run_step("write_chains", is_full=1, most=CHAIN_MOST)
            self._compare_all(run, parts=1 + int(facts) // PART_ROWS)
        else:
            self._forget_touched()
            self._run_step("touch_new", began_at=run["began_at"], since=since)
            if self._count(_TOUCHED):
                self._run_step("write_chains", is_full=0, most=CHAIN_MOST)
                self._run_step("touch_chains")
                self._touch_siblings()
                self._run_step("touch_hours", since=since)
                self._run_step("write_payments", **run)
        self._run_step("end_run", began_at=run["began_at"])
        return Comparison(run["began_at"], is_full, self._count(_WRITTEN, began_at=run["began_at"]))

    def _compare_all(self, run: dict[str, str], *, parts: int) -> None:
        for part in range(parts):
            self._forget_touched()
            self._run_step("touch_all", kept_from=run["kept_from"], part=part, parts=parts)
            self._touch_siblings()
            self._run_step("touch_all_hours")
            self._run_step("write_payments", **run)

    def _touch_siblings(self) -> None:
        # Those of the touched ones are compared, those of theirs only read.
        self._run_step("touch_siblings", is_compared=1)
        self._run_step("touch_siblings", is_compared=0)

    def _forget_touched(self) -> None:
        self.warehouse.command("TRUNCATE TABLE masques_ops.payments_touched")
        self.warehouse.command("TRUNCATE TABLE masques_ops.payments_touched_hours")

    def _run_step(self, name: str, **parameters: Any) -> None:
        self.lease.hold()
        self.warehouse.command(sql(f"reconciliation/{name}"), parameters)

    def _count(self, statement: str, **parameters: Any) -> int:
        return int(self.warehouse.scalar(statement, parameters))
