"""What the scores are computed from, written down as it is known now.

Here: payer clusters, who is who, what each reference proves and what each event therefore weighs,
each only where it changed, and only for what something new speaks of.
Not here: the computation itself (sql/014_evidence.sql), signals (signals.py), rates
(rates.py).
A re-run writes nothing when nothing changed, and makes whole what a killed run wrote by half. Rows
are never changed, only followed by newer ones, so that a score can be computed again from what was
known at its time.

New is what was written since the last run that came to its end began. Rows that vanished are not
seen that way, so every FULL_EVERY_S a run compares everything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from masques_pipelines.reputation.clusters import follow_funders
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import Lease, writer_lease
from masques_pipelines.warehouse.sql import sql

LEASE: Final = "reputation"
# No statement takes two thirds of it: each is of a part.
LEASE_S: Final = 120.0
# Rows compared at once: about 0.5 GB of the engine's memory.
PART_ROWS: Final = 1_000_000
# Rows that vanished are seen by a full run only; another model may trust other attestors, which
# changes the evidence of any event, so its first run is full too.
FULL_EVERY_S: Final = 86_400
# A row carries the time at which its insert began, and is seen when that ends. Embedded, nothing
# else writes meanwhile, and only the clock's milliseconds matter.
OVERLAP_SERVER_MS: Final = 15 * 60 * 1000
OVERLAP_EMBEDDED_MS: Final = 10
_TOUCHED: Final = (
    "masques_ops.reputation_touched_transfers",
    "masques_ops.reputation_touched_references",
    "masques_ops.reputation_touched_links",
    "masques_ops.reputation_touched_events",
)


@dataclass(frozen=True)
class Facts:
    """What was written down.

    Attributes:
        clusters: Parties whose first funder was found.
        parties: Parties of whom something changed.
        references: References that prove something else than before.
        evidence: Rows of the evidence log: one for each new event, two for one that changed.
        is_full: Whether everything was compared, not only what was new.
    """

    clusters: int
    parties: int
    references: int
    evidence: int
    is_full: bool


@dataclass(frozen=True)
class _Run:
    """A run; times are texts as the engine takes them, in UTC.

    Attributes:
        began_at: When it began.
        since: Rows that came in from here on are new to it; None: everything is looked at.
        changed_since: Facts written from here on were not looked at to the end: those of a run that
            died, and its own.
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
    report: Callable[[str], None] = lambda _line: None,
) -> Facts:
    """Writes down what changed since the last run.

    Args:
        warehouse: Where. Against a server the lease keeps a second run out: both would take back
            the same old words.
        full: Compare everything, not only what is new.
        report: Called with a line while another run is waited for.

    Raises:
        LeaseBusyError, LeaseLostError: Another process writes facts to the same server.
    """
    with writer_lease(
        warehouse, LEASE, duration_s=LEASE_S, wait_s=LEASE_S + 10, on_wait=report
    ) as lease:
        return _FactsRun(warehouse, lease).write(full=full)


@dataclass(frozen=True)
class _FactsRun:
    """The steps of one run, in their order."""

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
        self._do("write_parties")
        self._write_evidence(run)
        parties, references, evidence = (
            now - then for now, then in zip(self._rows(), before, strict=True)
        )
        self._do(
            "record_run",
            began_at=run.began_at,
            is_full=int(run.since is None),
            model_version=run.model_version,
        )
        return Facts(clusters, parties, references, evidence, is_full=run.since is None)

    def _begin(self, *, full: bool) -> _Run:
        self._forget_touched()
        overlap_ms = OVERLAP_SERVER_MS if self.warehouse.is_server else OVERLAP_EMBEDDED_MS
        began_at, since, changed_since, is_due, oldest, is_first, version = self.warehouse.row(
            sql("reputation/runs"),
            {"overlap_ms": overlap_ms, "full_every_s": FULL_EVERY_S},
        )
        # What is new is looked at in one piece, everything in parts.
        is_full = full or bool(is_due) or self._count("events_since", since=since) > PART_ROWS
        return _Run(
            began_at=str(began_at),
            since=None if is_full else str(since),
            changed_since=str(changed_since),
            is_first=bool(is_first),
            oldest=str(oldest),
            model_version=str(version),
        )

    def _write_new_references(self, since: str) -> None:
        self._do("touch_transfers", since=since)
        self._do("touch_holds")
        self._do("touch_references", since=since)
        self._do("write_links")
        self._do("write_references")

    def _write_all_references(self, run: _Run) -> None:
        slices = self.warehouse.rows(
            sql("reputation/event_slices"),
            {"oldest": run.oldest, "slice_rows": PART_ROWS},
        )
        after = run.oldest
        for (until,) in slices:
            self._forget_touched()
            self._do("touch_all_references", after=after, until=until)
            after = str(until)
            self._do("write_links")
            self._do("write_references")

    def _write_evidence(self, run: _Run) -> None:
        all_parts = _parts(self._count("events_total"))
        if run.is_first:
            for part in all_parts:
                self._do("write_first_evidence", oldest=run.oldest, **part)
        elif run.since is None:
            for part in all_parts:
                self._do("touch_differing_events", oldest=run.oldest, **part)
        else:
            self._do("touch_events", since=run.since, changed_since=run.changed_since)
        for part in _parts(self._count("touched_events_total")):
            self._do("write_evidence", **part)
        self._do("write_inherited", oldest=run.oldest)

    def _do(self, name: str, **parameters: Any) -> None:
        self.lease.hold()
        self.warehouse.command(sql(f"reputation/{name}"), parameters)

    def _forget_touched(self) -> None:
        for table in _TOUCHED:
            self.warehouse.command(f"TRUNCATE TABLE {table}")

    def _count(self, name: str, **parameters: Any) -> int:
        return int(self.warehouse.scalar(sql(f"reputation/{name}"), parameters))

    def _rows(self) -> tuple[int, int, int]:
        parties, references, evidence = self.warehouse.row(sql("reputation/facts_rows"))
        return int(parties), int(references), int(evidence)


def _parts(rows: int) -> list[dict[str, int]]:
    """Returns the parts that so many rows are looked at in; one at least."""
    parts = 1 + rows // PART_ROWS
    return [{"part": part, "parts": parts} for part in range(parts)]
