"""What the scores are computed from, written down as it is known now.

Here: payer clusters, who is who, what each reference proves and what each event therefore weighs,
each only where it changed, and only for what something new speaks of.
Not here: the computation itself (sql/014_reputation_evidence.sql), signals (signals.py), rates
(rates.py).
A re-run writes nothing when nothing changed, and makes whole what a killed run wrote by half. Rows
are never changed, only followed by newer ones, so that a score can be computed again from what was
known at its time.

New is what was written since the last run that came to its end began. Rows that vanished are not
seen that way, so every FULL_EVERY a run compares everything.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from masques_pipelines.reputation.clusters import follow_funders
from masques_pipelines.warehouse.sql_files import sql
from masques_pipelines.warehouse.warehouse import Warehouse

# Rows compared at once: about 0.5 GB of the engine's memory.
PART_ROWS: Final = 1_000_000
FULL_EVERY: Final = timedelta(days=1)
# A row carries the time at which its insert began, and is seen when that ends. Embedded, nothing
# else writes meanwhile, and only the clock's milliseconds matter.
OVERLAP_SERVER: Final = timedelta(minutes=15)
OVERLAP_EMBEDDED: Final = timedelta(milliseconds=10)
_TOUCHED: Final = (
    "masques_ops.reputation_touched_transfers",
    "masques_ops.reputation_touched_references",
    "masques_ops.reputation_touched_links",
    "masques_ops.reputation_touched_events",
)
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


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
    """A run.

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


def write_facts(warehouse: Warehouse, *, full: bool = False) -> Facts:
    """Writes down what changed since the last run.

    Args:
        warehouse: Where.
        full: Compare everything, not only what is new.
    """
    run = _begin(warehouse, full=full)
    before = _rows(warehouse)
    clusters = follow_funders(warehouse)
    if run.since is None:
        _write_all_references(warehouse, run)
    else:
        _write_new_references(warehouse, run.since)
    warehouse.command(sql("transforms/reputation/write_parties"))
    _write_evidence(warehouse, run)
    parties, references, evidence = (
        now - then for now, then in zip(_rows(warehouse), before, strict=True)
    )
    warehouse.insert_rows(
        "masques_ops.reputation_runs",
        ["began_at", "is_full", "model_version"],
        [[datetime.fromisoformat(run.began_at + "+00:00"), run.since is None, run.model_version]],
    )
    return Facts(clusters, parties, references, evidence, is_full=run.since is None)


def _begin(warehouse: Warehouse, *, full: bool) -> _Run:
    for table in _TOUCHED:
        warehouse.command(f"TRUNCATE TABLE {table}")
    found = warehouse.row(sql("queries/reputation/runs"))
    now, last, last_end, last_full, version, last_version, oldest, log_rows = found
    overlap = OVERLAP_SERVER if warehouse.is_server else OVERLAP_EMBEDDED
    # Another model may trust other attestors, which changes the evidence of any event.
    is_full = full or last_version != version or now - last_full >= FULL_EVERY
    return _Run(
        began_at=_text(now),
        since=None if is_full else _text(last - overlap),
        changed_since=_text(last_end),
        is_first=not log_rows,
        oldest=_text(oldest if last_version else _BEGINNING),
        model_version=str(version),
    )


def _write_new_references(warehouse: Warehouse, since: str) -> None:
    parameters = {"since": since}
    warehouse.command(sql("transforms/reputation/touch_transfers"), parameters)
    warehouse.command(sql("transforms/reputation/touch_holds"))
    warehouse.command(sql("transforms/reputation/touch_references"), parameters)
    warehouse.command(sql("transforms/reputation/write_links"))
    warehouse.command(sql("transforms/reputation/write_references"))


def _write_all_references(warehouse: Warehouse, run: _Run) -> None:
    parts = _parts(warehouse)
    for part in range(parts):
        for table in _TOUCHED:
            warehouse.command(f"TRUNCATE TABLE {table}")
        warehouse.command(
            sql("transforms/reputation/touch_all_references"),
            {"oldest": run.oldest, "part": part, "parts": parts},
        )
        warehouse.command(sql("transforms/reputation/write_links"))
        warehouse.command(sql("transforms/reputation/write_references"))


def _write_evidence(warehouse: Warehouse, run: _Run) -> None:
    is_full = run.since is None
    if not is_full:
        warehouse.command(
            sql("transforms/reputation/touch_events"),
            {"since": run.since, "changed_since": run.changed_since},
        )
    parts = _parts(warehouse) if is_full else 1
    name = "write_first_evidence" if run.is_first else "write_evidence"
    for part in range(parts):
        parameters: dict[str, Any] = {
            "part": part,
            "parts": parts,
            "oldest": run.oldest,
            "everything": int(is_full),
        }
        warehouse.command(sql(f"transforms/reputation/{name}"), parameters)
    warehouse.command(sql("transforms/reputation/write_inherited"), {"oldest": run.oldest})


def _parts(warehouse: Warehouse) -> int:
    return 1 + int(warehouse.scalar(sql("queries/reputation/events_total"))) // PART_ROWS


def _rows(warehouse: Warehouse) -> tuple[int, int, int]:
    parties, references, evidence = warehouse.row(sql("queries/reputation/facts_rows"))
    return int(parties), int(references), int(evidence)


def _text(moment: datetime) -> str:
    """Returns a moment as the engine takes it, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"
