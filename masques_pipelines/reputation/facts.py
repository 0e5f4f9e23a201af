"""Writes the facts that scores are computed from, as known now.

Facts are payer clusters, the standing of payers, and what each event weighs. A run looks only at
what new rows refer to and writes only what changed; it also completes what a killed run left half
done. Rows are never changed, only followed by newer ones, so that a score can be computed again
from what was known at its time.
"""

from dataclasses import dataclass
from typing import Any, Final

from masques_pipelines.reputation import runs
from masques_pipelines.reputation.clusters import follow_funders
from masques_pipelines.reputation.compaction import compact_evidence
from masques_pipelines.reputation.runs import Run, begin_run, end_run
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import Lease, writer_lease
from masques_pipelines.warehouse.sql import sql

LEASE: Final = "reputation"
# No statement takes two thirds of it: each is about one part.
LEASE_S: Final = 120.0
_BATCH: Final = "masques_ops.reputation_batch"
_TRADE: Final = "masques_ops.reputation_trade"
_TRACES: Final = "masques_ops.reputation_traces"
_EVENTS_TOTAL: Final = (
    "SELECT count() FROM masques.reputation_events WHERE timestamp > {oldest:DateTime64(9, 'UTC')}"
)
_BATCH_TOTAL: Final = "SELECT count() FROM masques_ops.reputation_batch"
_FACTS_TOTAL: Final = """
SELECT
    (SELECT count() FROM masques_ops.reputation_standing),
    (SELECT count() FROM masques_ops.reputation_evidence)
"""


@dataclass(frozen=True)
class Facts:
    """How much was written.

    Attributes:
        clusters: Parties whose first funder was found.
        standings: Payers whose standing changed.
        evidence: Rows of the evidence: one per new event, two per changed one.
        is_full: Whether everything was compared, not only what was new.
    """

    clusters: int
    standings: int
    evidence: int
    is_full: bool


def write_facts(warehouse: Warehouse, *, full: bool = False, run: Run | None = None) -> Facts:
    """Writes the facts that changed since the last run.

    Args:
        warehouse: Takes the facts. Against a server the lease excludes a second run, which would
            cancel the same rows once more.
        full: Compare everything, not only what is new.
        run: What to look at, when signals were derived before; else it begins here.

    Raises:
        LeaseBusyError, LeaseLostError: Another process writes facts to the same server.
    """
    with writer_lease(warehouse, LEASE, duration_s=LEASE_S, wait_s=LEASE_S + 10) as lease:
        return _FactsRun(warehouse, lease, run or begin_run(warehouse, full=full)).write()


@dataclass(frozen=True)
class _FactsRun:
    """One run: its steps in their order."""

    warehouse: Warehouse
    lease: Lease
    run: Run

    def write(self) -> Facts:
        before = self._totals()
        clusters = 0
        if self.run.has_news:
            clusters = follow_funders(self.warehouse, since=self.run.since)
        if self.run.is_full:
            self._write_standing()
            self._write_all_evidence()
        elif self.run.has_news:
            self._write_new_evidence()
        standings, evidence = (now - then for now, then in zip(self._totals(), before, strict=True))
        if self.run.is_full:
            compact_evidence(self.warehouse, before_step=self.lease.hold)
        self.lease.hold()
        end_run(self.warehouse, self.run)
        return Facts(clusters, standings, evidence, is_full=self.run.is_full)

    def _write_standing(self) -> None:
        self._empty(_TRADE)
        self._empty(_TRACES)
        self._step("write_trade")
        for hop in range(1, self.run.trace_hops + 1):
            self._step("write_traces", hop=hop)
        self._step("write_standing")
        self._empty(_TRADE)
        self._empty(_TRACES)

    def _write_all_evidence(self) -> None:
        events = int(self.warehouse.scalar(_EVENTS_TOTAL, {"oldest": self.run.oldest}))
        parts = 1 + events // runs.PART_ROWS
        for part in range(parts):
            self._empty(_BATCH)
            self._fill_batch(part=part, parts=parts)
            self._write_batch(everything=1, part=part, parts=parts)
        self._empty(_BATCH)

    def _write_new_evidence(self) -> None:
        self._empty(_BATCH)
        self._fill_batch(sql("reputation/touched"), since=self.run.since)
        if not self.warehouse.scalar(_BATCH_TOTAL):
            return
        self._fill_batch(sql("reputation/siblings"))
        self._write_batch(everything=0, part=0, parts=1)
        self._empty(_BATCH)

    def _fill_batch(self, found: str = "", **which: Any) -> None:
        """Adds events to the batch: those that a statement finds, or all of a part."""
        self.lease.hold()
        only = f"AND event_id IN\n(\n{found})" if found else ""
        self.warehouse.command(
            sql("reputation/fill_batch").replace("/*found*/", only),
            {"part": 0, "parts": 1, "oldest": self.run.oldest, **which},
        )

    def _write_batch(self, **which: int) -> None:
        self._step("write_evidence", oldest=self.run.oldest, **which)

    def _step(self, name: str, **parameters: Any) -> None:
        self.lease.hold()
        self.warehouse.command(sql(f"reputation/{name}"), parameters)

    def _empty(self, table: str) -> None:
        self.warehouse.command(f"TRUNCATE TABLE {table}")

    def _totals(self) -> tuple[int, int]:
        standings, evidence = self.warehouse.row(_FACTS_TOTAL)
        return int(standings), int(evidence)
