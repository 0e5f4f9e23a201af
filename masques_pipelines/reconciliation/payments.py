"""Compares requests, sessions, ledger and settlements, and writes what is said of each payment.

A run looks only at items that a new row is about, or whose deadline the sides have been read past,
and writes only what changed: what should be said, less what was said. So the next run completes one
that was killed. When the log is not what the last run left (rows lost, or there twice), everything
is compared.

Facts that vanished are not new, so every FULL_EVERY_S a run compares everything too. Items older
than requests are kept (KEPT_DAYS) keep what was said of them at the gate.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from masques_pipelines.inventory.tables import POSITIONS
from masques_pipelines.inventory.writes import counted
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import Lease, writer_lease
from masques_pipelines.warehouse.sql import sql

LEASE: Final = "reconciliation"
# No statement takes two thirds of it: each is about one part.
LEASE_S: Final = 120.0
# Rows of transactions, requests and settlements in one part: some 600,000 payments, which take
# about 1 GB of memory while they are compared.
PART_ROWS: Final = 2_000_000
# New rows up to this number are compared as such: more of them cost as much as everything.
NEW_ROWS_MOST: Final = 500_000
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
# Transfers from before this run that settlements name: they may have a chain that is not known yet.
_NAMED_BEFORE: Final = """
SELECT count() FROM masques_ops.settlement_links
WHERE transaction_id IN
(
    SELECT item_id FROM masques_ops.payments_touched
    WHERE item_id NOT IN (
        SELECT transaction_id FROM masques.transactions
        WHERE ingested_at >= {since:DateTime64(6, 'UTC')})
)
SETTINGS use_skip_indexes = 0
"""
_BEFORE_ALL: Final = "1970-01-01 00:00:00.000000"
_TOUCHED: Final = "SELECT count() FROM masques_ops.payments_touched"
_SIBLINGS: Final = "SELECT count() FROM masques_ops.payments_touched WHERE is_compared = 0"
# Contents are hashes of the payment too.
_WRONG: Final = """
SELECT count() FROM masques_ops.payments_unsaid
WHERE content NOT IN (SELECT content FROM masques_ops.payments_said)
"""
_SHARED: Final = "SELECT count() FROM masques_ops.payments_links WHERE payments > 1"
_LAST_ID: Final = 2**128 - 1
_ALL_IDS: Final = {"first_id": 0, "last_id": _LAST_ID}
_STAGED_IN_PARTS: Final = (
    "payments_touched",
    "payments_gate",
    "payments_booked",
    "payments_rail",
    "payments_said",
    "payments_unsaid",
)
_STAGED: Final = ("payments_touched_hours", "payments_links", *_STAGED_IN_PARTS)
_OLD_GENERATIONS: Final = """
SELECT DISTINCT partition_id FROM system.parts
WHERE database = 'masques_ops' AND table = 'breaks_log' AND active
    AND partition != toString({began_at:DateTime64(6, 'UTC')})
"""
_LATER: Final = """
SELECT toString(greatest(
    now64(6, 'UTC'), {began_at:DateTime64(6, 'UTC')} + toIntervalMicrosecond(1)))
"""
# What has new rows since then may differ: the run before did not see them.
_CORRECTED: Final = """
SELECT count() FROM masques_ops.payments_log
WHERE known_from = {began_at:DateTime64(6, 'UTC')}
    AND item_id NOT IN (SELECT item_id FROM masques_ops.payments_touched)
"""
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


def overlap_ms(warehouse: Warehouse) -> int:
    """Returns how long before a run the inserts may have begun whose rows it did not see."""
    return OVERLAP_SERVER_MS if warehouse.is_server else OVERLAP_EMBEDDED_MS


@dataclass(frozen=True)
class _Everything:
    """What comparing everything needs to know: why, how many rows there are, and since when."""

    reason: str
    rows: int
    since: str
    counted_to: str


@dataclass(frozen=True)
class _Run:
    warehouse: Warehouse
    lease: Lease

    def compare(self, *, full: bool) -> Comparison:
        began_at, since, due, chart_version, rows, counted_to = self.warehouse.row(
            sql("reconciliation/runs"),
            {"overlap_ms": overlap_ms(self.warehouse), "full_every_s": FULL_EVERY_S},
        )
        facts, others, moved = self._counts("count_new", since=since)
        # New rows are compared in one piece, everything in parts.
        reason = str(due) or ("many" if facts > NEW_ROWS_MOST else "asked" if full else "")
        began = {"began_at": str(began_at)}
        everything = _Everything(reason, int(rows), str(since), str(counted_to))
        # What is new first, so that what comparing everything finds besides was missed before.
        is_checked = reason in ("daily", "asked") and facts <= NEW_ROWS_MOST
        self._run_step(
            "begin_run",
            **began,
            reason="" if is_checked else reason,
            chart_version=int(chart_version or 0),
        )
        if reason and not is_checked:
            return self._compare_everything(began, everything, is_checked=False)
        new = self._compare_what_is_new(began, str(since), has_news=facts + others, moved=moved)
        if not is_checked:
            return new
        again = {"began_at": str(self.warehouse.scalar(_LATER, began))}
        self._run_step("begin_again", **again, before=began["began_at"], reason=reason)
        found = self._compare_everything(again, everything, is_checked=True)
        return replace(found, rows_written=new.rows_written + found.rows_written)

    def _compare_what_is_new(
        self, began: dict[str, str], since: str, *, has_news: int, moved: int
    ) -> Comparison:
        due, left = self._counts("count_due", **began)
        if has_news or due or left:
            self._compare_new(self._run_of(began), since)
        written = self._count(_WRITTEN, **began)
        if left or written:
            self._run_step("copy_breaks", **began, is_full=0)
        if moved or left or written:
            self._write_position(began)
        self._run_step("end_run", **began, is_full=0, corrected=None)
        return Comparison(began["began_at"], is_full=False, rows_written=written)

    def _compare_everything(
        self, began: dict[str, str], everything: _Everything, *, is_checked: bool
    ) -> Comparison:
        self._compare_all(self._run_of(began), rows=everything.rows)
        self._run_step("sum_settled", counted_to=everything.counted_to)
        written = self._count(_WRITTEN, **began)
        corrected = None
        if is_checked:
            self._run_step("touch_new", **began, since=everything.since)
            corrected = self._count(_CORRECTED, **began)
            self._empty("payments_touched")
        self._run_step("copy_breaks", **began, is_full=1)
        self._write_position(began)
        self._run_step("end_run", **began, is_full=1, corrected=corrected)
        self._drop_old_generations(began["began_at"])
        return Comparison(began["began_at"], is_full=True, rows_written=written)

    def _write_position(self, began: dict[str, str]) -> None:
        with counted(self.warehouse, POSITIONS):
            self._run_step("write_position", **began)

    def _run_of(self, began: dict[str, str]) -> dict[str, str]:
        return {**began, "kept_from": str(self.warehouse.scalar(_KEPT_FROM, {"days": KEPT_DAYS}))}

    def _compare_new(self, run: dict[str, str], since: Any) -> None:
        self._empty(*_STAGED)
        self._run_step("touch_new", began_at=run["began_at"], since=since)
        if not self._count(_TOUCHED):
            return
        named_since = _BEFORE_ALL if self._count(_NAMED_BEFORE, since=since) else since
        self._write_chains(is_full=0, since=named_since)
        self._run_step("touch_chains")
        self._run_step("stage_links", is_full=0)
        if self._count(_SHARED):
            self._run_step("touch_siblings", is_compared=1)
            self._empty("payments_links")
            self._run_step("stage_links", is_full=0)
        self._run_step("touch_siblings", is_compared=0)
        self._run_step("touch_hours", since=since)
        if self._count(sql("reconciliation/count_unknown"), since=since):
            self._run_step("touch_old_hours")
        self._run_step("stage_gate", is_full=0, **_ALL_IDS)
        self._run_step("stage_booked", is_full=0, **_ALL_IDS)
        self._say(run, is_full=0, part=_ALL_IDS)

    def _compare_all(self, run: dict[str, str], *, rows: int) -> None:
        self._empty(*_STAGED)
        self._write_chains(is_full=1, since=_BEFORE_ALL)
        self._run_step("touch_all_hours")
        self._run_step("stage_links", is_full=1)
        for part in self._parts(rows):
            self._empty(*_STAGED_IN_PARTS)
            self._run_step("stage_gate", is_full=1, **part)
            self._run_step("stage_booked", is_full=1, **part)
            self._run_step("touch_all", kept_from=run["kept_from"], **part)
            self._run_step("touch_siblings", is_compared=0)
            if self._count(_SIBLINGS):
                self._run_step("stage_booked", is_full=0, **_ALL_IDS)
            self._say(run, is_full=1, part=part)
        self._empty(*_STAGED)

    def _write_chains(self, *, is_full: int, since: str) -> None:
        # Its statement looks for them twice: mostly there is none.
        if self._count(sql("reconciliation/count_chained"), is_full=is_full, since=since):
            self._run_step("write_chains", is_full=is_full, most=CHAIN_MOST, since=since)

    def _parts(self, rows: int) -> list[dict[str, int]]:
        """Returns ranges of ids, without gaps, with up to PART_ROWS rows in each."""
        parts = 1 + rows // PART_ROWS
        found = self.warehouse.rows(
            sql("reconciliation/part_bounds"), {"rows": rows, "parts": parts}
        )
        firsts = [0, *(int(bound) for (bound,) in found if int(bound))]
        lasts = [*(first - 1 for first in firsts[1:]), _LAST_ID]
        return [
            {"first_id": first, "last_id": last} for first, last in zip(firsts, lasts, strict=True)
        ]

    def _say(self, run: dict[str, str], *, is_full: int, part: dict[str, int]) -> None:
        self._run_step("stage_rail", is_full=is_full, **part)
        self._run_step("say_payments", **run)
        self._run_step("read_said")
        self._run_step("write_payments", began_at=run["began_at"], **part)
        if self._count(_WRONG):
            self._run_step("take_back", began_at=run["began_at"])

    def _drop_old_generations(self, began_at: str) -> None:
        for (partition,) in self.warehouse.rows(_OLD_GENERATIONS, {"began_at": began_at}):
            self.warehouse.command(
                f"ALTER TABLE masques_ops.breaks_log DROP PARTITION ID '{partition}'"
            )

    def _empty(self, *tables: str) -> None:
        for table in tables:
            self.warehouse.command(f"TRUNCATE TABLE masques_ops.{table}")

    def _run_step(self, name: str, **parameters: Any) -> None:
        self.lease.hold()
        self.warehouse.command(sql(f"reconciliation/{name}"), parameters)

    def _counts(self, name: str, **parameters: Any) -> tuple[int, ...]:
        return tuple(
            int(each) for each in self.warehouse.row(sql(f"reconciliation/{name}"), parameters)
        )

    def _count(self, statement: str, **parameters: Any) -> int:
        return int(self.warehouse.scalar(statement, parameters))
