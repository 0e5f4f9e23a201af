"""Writes the sandbox's spans into otel.otel_traces, as a Collector does with those of real gates.

A Collector's own database is never written: only the one that this made, which says so. A killed
run leaves whole rows, and the next one adds those that lack.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from masques_pipelines.errors import PermanentError
from masques_pipelines.sandbox.places import SPANS, is_world
from masques_pipelines.sandbox.stamp import is_sandbox
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import writer_lease
from masques_pipelines.warehouse.sql import split_statements, sql

_LEASE: Final = "spans"
_MARK: Final = "Spans of the sandbox of masques-pipelines"
_MAKE: Final = f"CREATE DATABASE IF NOT EXISTS otel COMMENT '{_MARK}'"
_COMMENTS: Final = "SELECT comment FROM system.databases WHERE name = 'otel'"
_BY_DAY: Final = """
SELECT intDiv(toUnixTimestamp64Nano(Timestamp) - {start_ns:Int64}, {day_ns:Int64}) AS day, count()
FROM otel.otel_traces
WHERE Timestamp >= fromUnixTimestamp64Nano({start_ns:Int64})
GROUP BY day
"""
# An insert has at most this many days, since each day is a partition, and about as many rows.
_DAYS_MAX: Final = 30
_ROWS_MAX: Final = 250_000


@dataclass(frozen=True)
class Delivered:
    """What became of the spans that the world's clock shows.

    Attributes:
        rows: How many were written.
        refused: Why none was, '' when they were.
    """

    rows: int = 0
    refused: str = ""


@dataclass
class _Batch:
    """Spans of days that follow one another, as they are kept.

    Attributes:
        rows: How many of them are not there yet.
        pieces: All that are shown of each day.
        from_ns: When the first day begins.
        to_ns: When the last one ends.
    """

    rows: int = 0
    pieces: list[memoryview] = field(default_factory=list)
    from_ns: int = 0
    to_ns: int = 0


def deliver_spans(warehouse: Warehouse, settings: Settings) -> Delivered:
    """Writes the spans of the sandbox's world up to its clock that are not there yet.

    Args:
        warehouse: The sandbox's, by its stamp.
        settings: As `with_stand_ins` gave them.
    """
    root = settings.sandbox_folder
    if root is None or not is_world(root):
        return Delivered(refused="there is no world")
    refused = _refusal(warehouse)
    if refused:
        return Delivered(refused=refused)
    with writer_lease(warehouse, _LEASE) as lease:
        written = 0
        for batch in _missing(warehouse, root):
            lease.hold()
            numbers = {"from_ns": batch.from_ns, "to_ns": batch.to_ns}
            rows = [batch.pieces]
            warehouse.insert_select(
                sql("sandbox/insert_spans"), rows, numbers, **lease.insert_settings
            )
            written += batch.rows
    return Delivered(written)


def has_own_spans(warehouse: Warehouse) -> bool:
    """Returns whether the database otel is the sandbox's own."""
    return warehouse.rows(_COMMENTS) == [(_MARK,)]


def _refusal(warehouse: Warehouse) -> str:
    """Makes the database where there is none; returns why it is not to be written, or ''."""
    if not is_sandbox(warehouse):
        return f"{warehouse.description} is not stamped as the sandbox's"
    if not warehouse.rows(_COMMENTS):
        try:
            warehouse.command(_MAKE)
        except PermanentError as error:
            return f"there is no database otel, and it cannot be made: {error}"
    # Of two that make it at once, one was first.
    if not has_own_spans(warehouse):
        return "the database otel is a Collector's, not the sandbox's"
    for statement in split_statements(sql("otel/tables")):
        warehouse.command(statement)
    return ""


def _missing(warehouse: Warehouse, root: Path) -> Iterator[_Batch]:
    """Yields the days whose spans are not all there."""
    # They take longer to load than most commands need.
    import numpy as np  # noqa: PLC0415

    from masques_pipelines.sandbox.world.shape import DAY, SPAN  # noqa: PLC0415
    from masques_pipelines.sandbox.world.store import read_world  # noqa: PLC0415

    world = read_world(root)
    start_ns = world.shape.start_ns
    there = {
        int(day): int(count)
        for day, count in warehouse.rows(_BY_DAY, {"start_ns": start_ns, "day_ns": DAY})
    }
    batch = _Batch()
    for path in sorted((root / SPANS).glob("*.bin")):
        number = int(path.stem)
        # An empty file cannot be mapped.
        spans = np.memmap(path, SPAN, "r") if path.stat().st_size else np.empty(0, SPAN)
        shown = int(np.searchsorted(spans["t"], world.now_ns, "right"))
        if shown == there.get(number, 0):
            continue
        batch.from_ns = batch.from_ns or start_ns + number * DAY
        batch.to_ns = start_ns + (number + 1) * DAY
        batch.pieces.append(spans[:shown].view(np.uint8).data)
        batch.rows += shown - there.get(number, 0)
        if batch.rows >= _ROWS_MAX or len(batch.pieces) == _DAYS_MAX:
            yield batch
            batch = _Batch()
    if batch.pieces:
        yield batch
