"""Brings one rail up to its head: fetch, append, save the cursor, repeat until caught up.

A run continues from the saved cursor. A kill between any two steps fetches the same again, which
changes nothing: ids are the payments' own, and only a difference is appended.
"""

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, TypeVar

from masques_pipelines.rails import evidence, revisions
from masques_pipelines.rails.descriptor import RailKey
from masques_pipelines.rails.protocol import (
    Cursor,
    FetchResult,
    Found,
    Observation,
    Rail,
    Rejected,
)
from masques_pipelines.warehouse.client import Warehouse

# A run with more to do than this leaves the time to the other rails and continues at the next tick.
FETCHES_MAX: Final = 1_000
LOG_EVERY_S: Final = 5.0
# The cursor of each node of a network, the newest first.
_READ_CURSORS: Final = """
SELECT node, cursor, position, toUnixTimestamp64Nano(read_to) FROM masques_ops.rail_cursors FINAL
WHERE rail = {rail:String} AND network = {network:String}
ORDER BY saved_at DESC
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
        read_to_ns: Block time of the newest block that was read to its finality, None when unknown.
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
    read_to_ns: int | None = None
    duration_s: float = 0.0
    notes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a rail continues.

    Attributes:
        cursor: The rail's own.
        position: Its height, slot, index or byte.
        read_to_ns: Block time of the newest block that was read to its finality, None when unknown.
    """

    cursor: Cursor
    position: int
    read_to_ns: int | None


def ingest(  # noqa: PLR0913 - what a run of one rail is opened with, by name
    warehouse: Warehouse,
    rail: Rail,
    *,
    node: str = "",
    owns: Callable[[Cursor], bool] | None = None,
    before_write: Callable[[], None] = lambda: None,
    fetches_max: int = FETCHES_MAX,
    redact: Callable[[str], str] = str,
) -> RailRun:
    """Brings masques.settlements up to the head of one rail.

    Args:
        warehouse: The target; nothing else may write settlements meanwhile.
        rail: The source.
        node: What tells it apart from other nodes of its network.
        owns: Whether the rail reads what a cursor was saved for: a node that has no cursor under
            its own name continues from one that is its own.
        before_write: Called before the recorded revisions are read and added to: renews the lease.
        fetches_max: Fetches after which the run stops, caught up or not.
        redact: Takes our own secrets out of what goes to quarantine and into findings.

    Raises:
        RailUnavailableError, RailRefusedError: From the rail; all fetches before it are kept.
        WarehouseTransientError, WarehousePermanentError: From the warehouse.
    """
    started_s = logged_s = time.monotonic()
    done = RailRun(rail=rail.name, endpoint=rail.description)
    key = RailKey(rail.name, rail.network, node)
    at = read_place(warehouse, key, owns)
    cursor = at.cursor if at else None
    read_to_ns = done.read_to_ns = at.read_to_ns if at else None
    while done.fetches < fetches_max and not done.is_caught_up:
        fetched = redacted(rail.fetch(cursor), redact)
        before_write()
        _write(warehouse, rail, fetched, done)
        if fetched.read_to_ns is not None:
            done.read_to_ns = max(fetched.read_to_ns, done.read_to_ns or 0)
        if fetched.cursor != cursor or done.read_to_ns != read_to_ns:
            read_to_ns = done.read_to_ns
            write_cursor(warehouse, key, Place(fetched.cursor, fetched.position, read_to_ns))
        cursor = fetched.cursor
        done.fetches += 1
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


def _write(warehouse: Warehouse, rail: Rail, fetched: FetchResult, done: RailRun) -> None:
    """Writes all that a fetch found; the cursor comes after it."""
    now = datetime.now(UTC)
    # Before the vouchers that follow from them.
    evidence.write_claims(warehouse, (rail.name, rail.network), fetched.claims, now=now)
    written = write_found(warehouse, fetched, rail.network, now=now)
    evidence.write_channels(warehouse, (rail.name, rail.network), fetched.channels, now=now)
    # After the settlements: a balance that is there without its settlements would be a difference.
    evidence.write_balances(warehouse, (rail.name, rail.network), fetched.balances, now=now)
    done.observations += written.observations
    done.revisions += written.revisions
    done.findings += written.findings
    done.rejected += len(written.rejected)


@dataclass(frozen=True)
class Written:
    """What was written of what a rail found.

    Attributes:
        observations: Observations that may be rows.
        revisions: Rows appended.
        findings: Contradictions recorded.
        rejected: Rows of the quarantine.
    """

    observations: int
    revisions: int
    findings: int
    rejected: Sequence[Rejected]


def write_found(warehouse: Warehouse, found: Found, network: str, *, now: datetime) -> Written:
    """Writes what a rail found on a network, in a fetch or a replay; again it changes nothing."""
    seen, untimed = _timed(found.observations)
    current = revisions.current_revisions(warehouse, (each.settlement_id for each in seen))
    changes = revisions.changes_of(seen, current)
    own = [replace(each, network=each.network or network) for each in found.findings]
    changes = replace(changes, findings=[*changes.findings, *own])
    rejected = [*found.rejected, *untimed]
    revisions.quarantine(warehouse, rejected)
    revisions.append(warehouse, changes, now=now)
    evidence.write_events(warehouse, found.events, now=now)
    return Written(len(seen), len(changes.revisions), len(changes.findings), rejected)


F = TypeVar("F", bound=Found)


def redacted(found: F, redact: Callable[[str], str]) -> F:
    """Returns what a rail found with none of our own secrets in the texts of the outside."""
    if isinstance(found, FetchResult):
        balances = [replace(each, problem=redact(each.problem)) for each in found.balances]
        found = replace(found, balances=balances)
    return replace(
        found,
        rejected=[
            replace(each, reason=redact(each.reason), raw=redact(each.raw))
            for each in found.rejected
        ],
        findings=[replace(each, detail=redact(each.detail)) for each in found.findings],
    )


def _timed(observations: Sequence[Observation]) -> tuple[list[Observation], list[Rejected]]:
    """Returns the observations that have a time, and the others for the quarantine.

    A rail resolves an unknown time or waits for it; this is the last line before the retention,
    which would delete a row of 1970 at the insert.
    """
    seen, untimed = [], []
    for each in observations:
        if revisions.TIME_MIN_NS <= each.timestamp_ns <= revisions.TIME_MAX_NS:
            seen.append(each)
            continue
        raw = json.dumps(
            {
                "settlement_id": str(each.settlement_id),
                "tx_hash": each.tx_hash[:100],
                "block_height": each.block_height,
                "timestamp_ns": str(each.timestamp_ns)[:40],
            }
        )
        where = f"{each.network}/{each.tx_hash[:100] or each.settlement_id}"
        untimed.append(Rejected(where, 1, "out_of_range:timestamp", raw))
    return seen, untimed


def read_place(
    warehouse: Warehouse, key: RailKey, owns: Callable[[Cursor], bool] | None = None
) -> Place | None:
    """Returns where a rail continues, None before its first run.

    A node that was read under another name, or alone before the network had several, has no cursor
    under its own name: it continues from the one that `owns` says is its own.
    """
    rows = warehouse.rows(_READ_CURSORS, {"rail": key.rail, "network": key.network})
    places = [(node, Place(dict(json.loads(cursor)), *rest)) for node, cursor, *rest in rows]
    own = next((place for node, place in places if node == key.node), None)
    if own is None and owns is not None:
        own = next((place for _, place in places if owns(place.cursor)), None)
    return own


def read_cursor(warehouse: Warehouse, rail: str, network: str, node: str = "") -> Cursor | None:
    """Returns the cursor that a rail continues from, None before its first run."""
    at = read_place(warehouse, RailKey(rail, network, node))
    return at.cursor if at else None


def write_cursor(warehouse: Warehouse, key: RailKey, at: Place) -> None:
    """Writes where a rail continues; the latest row wins."""
    text = json.dumps(at.cursor, sort_keys=True)
    warehouse.insert_rows(
        "masques_ops.rail_cursors",
        ("rail", "network", "node", "cursor", "position", "read_to", "saved_at"),
        [(*key, text, at.position, at.read_to_ns, datetime.now(UTC))],
    )
