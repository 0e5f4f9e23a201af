"""Brings one rail up to its head: fetch, append, save the cursor, repeat until caught up.

A run continues from the saved cursor. A kill between any two steps fetches the same again, which
changes nothing: ids are the payments' own, and only a difference is appended.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from masques_pipelines.rails import revisions
from masques_pipelines.rails.protocol import Cursor, Rail
from masques_pipelines.warehouse.client import Warehouse

# A run with more to do than this leaves the time to the other rails and continues at the next tick.
FETCHES_MAX: Final = 1_000
LOG_EVERY_S: Final = 5.0
_READ_CURSOR: Final = """
SELECT cursor FROM masques_ops.rail_cursors FINAL
WHERE rail = {rail:String} AND network = {network:String}
"""

logger = logging.getLogger(__name__)


@dataclass
class RailRun:
    """What one run did on one rail.

    Attributes:
        rail: Name of the rail.
        endpoint: The node or folder that was read, without credentials.
        observations: Observations made, including those that were recorded already.
        revisions: Rows appended.
        findings: Contradictions recorded.
        rejected: Rows of the quarantine.
        fetches: Fetches made.
        calls: Requests sent.
        position: Position of the cursor.
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
    rejected: int = 0
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
    before_write: Callable[[], None] = lambda: None,
    fetches_max: int = FETCHES_MAX,
) -> RailRun:
    """Brings masques.settlements up to the head of one rail.

    Args:
        warehouse: The target; nothing else may write settlements meanwhile.
        rail: The source.
        before_write: Called before the recorded revisions are read and added to: renews the lease.
        fetches_max: Fetches after which the run stops, caught up or not.

    Raises:
        RailUnavailableError, RailRefusedError: From the rail; all fetches before it are kept.
        WarehouseTransientError, WarehousePermanentError: From the warehouse.
    """
    started_s = logged_s = time.monotonic()
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
        revisions.quarantine(warehouse, fetched.rejected)
        revisions.append(warehouse, changes, now=now)
        if fetched.cursor != cursor:
            save_cursor(warehouse, rail, fetched.cursor, position=fetched.position, now=now)
        cursor = fetched.cursor
        done.fetches += 1
        done.observations += len(fetched.observations)
        done.revisions += len(changes.revisions)
        done.findings += len(changes.findings)
        done.rejected += len(fetched.rejected)
        done.position, done.behind = fetched.position, fetched.behind
        done.is_caught_up = fetched.is_caught_up
        for name, count in fetched.notes.items():
            done.notes[name] = done.notes.get(name, 0) + count
        if time.monotonic() - logged_s >= LOG_EVERY_S:
            logged_s = time.monotonic()
            logger.info(
                "%s: at %s, %s to go, %d calls",
                *(rail.name, f"{done.position:,}", f"{done.behind:,}", rail.calls),
            )
    done.calls = rail.calls
    done.duration_s = time.monotonic() - started_s
    return done


def read_cursor(warehouse: Warehouse, rail: str, network: str) -> Cursor | None:
    """Returns the cursor that a rail continues from, None before its first run."""
    rows = warehouse.rows(_READ_CURSOR, {"rail": rail, "network": network})
    return dict(json.loads(rows[0][0])) if rows else None


def save_cursor(
    warehouse: Warehouse, rail: Rail, cursor: Cursor, *, position: int, now: datetime
) -> None:
    """Saves the cursor that a rail continues from."""
    write_cursor(warehouse, (rail.name, rail.network), cursor, position=position, now=now)


def write_cursor(
    warehouse: Warehouse, key: tuple[str, str], cursor: Cursor, *, position: int, now: datetime
) -> None:
    """Writes a cursor under (rail, network); the latest row wins."""
    warehouse.insert_rows(
        "masques_ops.rail_cursors",
        ("rail", "network", "cursor", "position", "saved_at"),
        [(*key, json.dumps(cursor, sort_keys=True), position, now)],
    )
