"""Writes the facts that scores are computed from, as known now.

Facts are payer clusters, parties, what each reference proves, and what each event therefore weighs.
A run looks only at what new rows refer to and writes only what changed; it also completes what a
killed run left half done. Rows are never changed, only followed by newer ones, so that a score can
be computed again from what was known at its time.

New are rows written since the last completed run began. Rows that vanished are not seen that way,
so every FULL_EVERY_S a run compares everything.
"""

from dataclasses import dataclass
from typing import Any, Final

from masques_pipelines.reputation.clusters import follow_funders
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import Lease, writer_lease
from masques_pipelines.warehouse.sql import sql

LEASE: Final = "reputation"
# No statement takes two thirds of it: each is about one part.
LEASE_S: Final = 120.0
# Rows compared at once: about 0.5 GB of the engine's memory.
PART_ROWS: Final = 1_000_000
# Only a full run sees rows that vanished. Another model may trust other attestors, which changes
# the evidence of any event, so its first run is full too.
FULL_EVERY_S: Final = 86_400
# A row carries the time at which its insert began, and is visible when the insert ends. Embedded,
# no other process writes, and only the milliseconds of the clock matter.
OVERLAP_SERVER_MS: Final = 15 * 60 * 1000
OVERLAP_EMBEDDED_MS: Final = 10
_TOUCHED: Final = (
    "masques_ops.reputation_touched_transfers",
    "masques_ops.reputation_touched_references",
    "masques_ops.reputation_touched_links",
    "masques_ops.reputation_touched_events",
)
_EVENTS_TOTAL: Final = "SELECT count() FROM masques.reputation_events"
_EVENTS_SINCE: Final = """
SELECT count() FROM masques.reputation_events WHERE ingested_at >= {since:DateTime64(6, 'UTC')}
"""
_TOUCHED_EVENTS_TOTAL: Final = "SELECT count() FROM masques_ops.reputation_touched_events"
_FACTS_TOTAL: Final = """
SELECT
    (SELECT count() FROM masques_ops.reputation_parties),
    (SELECT count() FROM masques_ops.reputation_references),
    (SELECT count() FROM masques_ops.reputation_evidence_log)
"""
# Sent twice it makes two rows, which mean the same as one.
_RECORD_RUN: Final = """
INSERT INTO masques_ops.reputation_runs (began_at, is_full, model_version)
SELECT {began_at:DateTime64(6, 'UTC')}, {is_full:UInt8}, {model_version:String}
"""


@dataclass(frozen=True)
class Facts:
    """How much was written.

    Attributes:
        clusters: Parties whose first funder was found.
        parties: Parties that changed.
        references: References that prove something else than before.
        evidence: Rows of the evidence log: one per new event, two per changed one.
        is_full: Whether everything was compared, not only what was new.
    """

    clusters: int
    parties: int
    references: int
    evidence: int
    is_full: bool


@dataclass(frozen=True)
class _Run:
    """A run; times are texts in the format of the engine, in UTC.

    Attributes:
        began_at: When it began.
        since: Rows written from here on are new to it; None: it looks at everything.
        changed_since: Facts written from here on are not complete: those of a run that died, and
            its own.
        is_first: Whether the evidence log is empty.
        oldest: Events before this count at no anchor.
        model_version: The model in force.
    """

    began_at: str
    since: str | None
    changed_since: str
    is_first: bool
    oldest: str
    model_version: str


def write_facts(
    warehouse: Warehouse,
    *,
    full: bool = False,
) -> Facts:
    """Writes the facts that changed since the last run.

    Args:
        warehouse: Takes the facts. Against a server the lease excludes a second run, which would
            cancel the same rows once more.
        full: Compare everything, not only what is new.

    Raises:
        LeaseBusyError, LeaseLostError: Another process writes facts to the same server.
    """
    with writer_lease(warehouse, LEASE, duration_s=LEASE_S, wait_s=LEASE_S + 10) as lease:
        return _FactsRun(warehouse, lease).write(full=full)


@dataclass(frozen=True)
class _FactsRun:
    """One run: its steps in their order."""

    warehouse: Warehouse
    lease: Lease

    def write(self, *, full: bool) -> Facts:
        run = self._begin(full=full)
        before = self._rows()
        clusters = follow_funders(self.warehouse)
        if run.since is None:
            self._write_all_references(run)
        else:
            self._write_new_references(run.since)
        self._run_step("write_parties")
        self._write_evidence(run)
        parties, references, evidence = (
            now - then for now, then in zip(self._rows(), before, strict=True)
        )
        self.lease.hold()
        self.warehouse.command(
            _RECORD_RUN,
            {
                "began_at": run.began_at,
                "is_full": int(run.since is None),
                "model_version": run.model_version,
            },
        )
        return Facts(clusters, parties, references, evidence, is_full=run.since is None)

    def _begin(self, *, full: bool) -> _Run:
        self._forget_touched()
        overlap_ms = OVERLAP_SERVER_MS if self.warehouse.is_server else OVERLAP_EMBEDDED_MS
        began_at, since, changed_since, is_due, oldest, is_first, version = self.warehouse.row(
            sql("reputation/runs"),
            {"overlap_ms": overlap_ms, "full_every_s": FULL_EVERY_S},
        )
        # New rows are looked at in one piece, everything in parts.
        new_events = self._count(_EVENTS_SINCE, since=since)
        is_full = full or bool(is_due) or new_events > PART_ROWS
        return _Run(
            began_at=str(began_at),
            since=None if is_full else str(since),
            changed_since=str(changed_since),
            is_first=bool(is_first),
            oldest=str(oldest),
            model_version=str(version),
        )

    def _write_new_references(self, since: str) -> None:
        self._run_step("touch_transfers", since=since)
        self._run_step("touch_holds")
        self._run_step("touch_references", since=since)
        self._run_step("write_links")
        self._run_step("write_references")

    def _write_all_references(self, run: _Run) -> None:
        slices = self.warehouse.rows(
            sql("reputation/event_slices"),
            {"oldest": run.oldest, "slice_rows": PART_ROWS},
        )
        after = run.oldest
        for (until,) in slices:
            self._forget_touched()
            self._run_step("touch_all_references", after=after, until=until)
            after = str(until)
            self._run_step("write_links")
            self._run_step("write_references")

    def _write_evidence(self, run: _Run) -> None:
        all_parts = _parts(self._count(_EVENTS_TOTAL))
        if run.is_first:
            for part in all_parts:
                self._run_step("write_first_evidence", oldest=run.oldest, **part)
        elif run.since is None:
            for part in all_parts:
                self._run_step("touch_differing_events", oldest=run.oldest, **part)
        else:
            self._run_step("touch_events", since=run.since, changed_since=run.changed_since)
        for part in _parts(self._count(_TOUCHED_EVENTS_TOTAL)):
            self._run_step("write_evidence", **part)
        self._run_step("write_inherited", oldest=run.oldest)

    def _run_step(self, name: str, **parameters: Any) -> None:
        self.lease.hold()
        self.warehouse.command(sql(f"reputation/{name}"), parameters)

    def _forget_touched(self) -> None:
        for table in _TOUCHED:
            self.warehouse.command(f"TRUNCATE TABLE {table}")

    def _count(self, statement: str, **parameters: Any) -> int:
        return int(self.warehouse.scalar(statement, parameters))

    def _rows(self) -> tuple[int, int, int]:
        parties, references, evidence = self.warehouse.row(_FACTS_TOTAL)
        return int(parties), int(references), int(evidence)


def _parts(rows: int) -> list[dict[str, int]]:
    """Returns the parts in which so many rows are read; at least one."""
    parts = 1 + rows // PART_ROWS
    return [{"part": part, "parts": parts} for part in range(parts)]
