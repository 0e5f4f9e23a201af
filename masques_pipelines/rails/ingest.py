"""Bringing one rail up to its head: fetch, append, save the cursor, again until caught up.

Here: the loop that every rail shares, and the cursor's place in the warehouse.
Not here: the rails, the rules of revisions (revisions.py), Dagster.
A re-run goes on from the saved cursor. A kill between any two steps fetches the same again, which
changes nothing: ids are the payment's own and only a difference is appended.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from masques_pipelines.rails import revisions
from masques_pipelines.rails.protocol import Cursor, Rail
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# A run that has this much to do gives way to the other rails and goes on at the next tick.
FETCHES_MAX: Final = 1_000
REPORT_EVERY_S: Final = 5.0


@dataclass
class RailRun:
    """What one run did on one rail.

    Attributes:
        rail: base, solana, lightning or journal.
        endpoint: Where it was read, without credentials.
        observations: Things seen, the known ones among them.
        revisions: Rows appended.
        findings: Contradictions written down.
        refused: Things put into quarantine.
        fetches: Steps made.
        calls: Requests sent.
        position: Where the cursor stands.
        behind: How far that is from the head.
        is_caught_up: Whether the head was reached.
        duration_s: How long it took.
        notes: The rail's own counts.
    """

    rail: str
    endpoint: str
    observations: int = 0
    revisions: int = 0
    findings: int = 0
    refused: int = 0
    fetches: int = 0
    calls: int = 0
    position: int = 0
    behind: int = 0
    is_caught_up: bool = False
    duration_s: float = 0.0
    notes: dict[str, int] = field(default_factory=dict)


def ingest(
    warehouse: Warehouse,
    rail: Rail,
    *,
    report: Callable[[str], None] = lambda _line: None,
    before_write: Callable[[], None] = lambda: None,
    fetches_max: int = FETCHES_MAX,
) -> RailRun:
    """Brings masques.settlements up to the head of one rail.

    Args:
        warehouse: The target; nothing else may write settlements meanwhile.
        rail: The source.
        report: Called with one line of progress every REPORT_EVERY_S of a long back-fill.
        before_write: Called before what is there is read to be added to: renews the lease.
        fetches_max: Steps after which the run stops, caught up or not.

    Raises:
        RailUnavailableError, RailRefusedError: From the rail; all steps before it are kept.
        WarehouseTransientError, WarehousePermanentError: From the warehouse.
    """
    started_s = said_s = time.monotonic()
    done = RailRun(rail=rail.name, endpoint=rail.description)
    cursor = read_cursor(warehouse, rail.name, rail.network)
    while done.fetches < fetches_max and not done.is_caught_up:
        fetched = rail.fetch(cursor)
        before_write()
        current = revisions.current_revisions(
            warehouse, (each.settlement_id for each in fetched.observations)
        )
        changes = revisions.changes_of(fetched.observations, current)
        now = datetime.now(UTC)
        revisions.quarantine(warehouse, fetched.refused)
        revisions.append(warehouse, changes, now=now)
        if fetched.cursor != cursor:
            save_cursor(warehouse, rail, fetched.cursor, position=fetched.position, now=now)
        cursor = fetched.cursor
        done.fetches += 1
        done.observations += len(fetched.observations)
        done.revisions += len(changes.revisions)
        done.findings += len(changes.findings)
        done.refused += len(fetched.refused)
        done.position, done.behind = fetched.position, fetched.behind
        done.is_caught_up = fetched.is_caught_up
        for name, count in fetched.notes.items():
            done.notes[name] = done.notes.get(name, 0) + count
        if time.monotonic() - said_s >= REPORT_EVERY_S:
            said_s = time.monotonic()
            report(f"{rail.name}: at {done.position:,}, {done.behind:,} to go, {rail.calls} calls")
    done.calls = rail.calls
    done.duration_s = time.monotonic() - started_s
    return done


def read_cursor(warehouse: Warehouse, rail: str, network: str) -> Cursor | None:
    """Returns where a rail goes on, None before its first run."""
    rows = warehouse.rows(sql("rails/cursor"), {"rail": rail, "network": network})
    return dict(json.loads(rows[0][0])) if rows else None


def save_cursor(
    warehouse: Warehouse, rail: Rail, cursor: Cursor, *, position: int, now: datetime
) -> None:
    """Writes down where a rail goes on."""
    write_cursor(warehouse, (rail.name, rail.network), cursor, position=position, now=now)


def write_cursor(
    warehouse: Warehouse, key: tuple[str, str], cursor: Cursor, *, position: int, now: datetime
) -> None:
    """Writes a cursor under (rail, network); the newest row speaks."""
    warehouse.insert_rows(
        "masques_ops.rail_cursors",
        ("rail", "network", "cursor", "position", "saved_at"),
        [(*key, json.dumps(cursor, sort_keys=True), position, now)],
    )
