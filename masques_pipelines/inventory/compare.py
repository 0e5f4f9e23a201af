"""Compares what was written to the tables with what is there: rows, content, files.

The number of rows of each day is compared in every run. Content is read on a rotation, a part of
the buckets at a time, so that each is read once a day; so are the files of each partition.
"""

import time
from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from masques_pipelines.inventory.tables import Table
from masques_pipelines.inventory.writes import open_writes
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.errors import WarehousePermanentError
from masques_pipelines.warehouse.sql import sql

# A bucket is due again after this time; the rotation runs each hour.
DUE_S: Final = 23 * 3600
# So many ticks are enough for all buckets, with some to spare when a tick is missed.
_TICKS: Final = 20
_MODULUS: Final = 1 << 64
FINDINGS_MAX: Final = 20


@dataclass(frozen=True)
class Comparison:
    """What a comparison of one table found.

    Attributes:
        name: The table, as `database.table`.
        buckets: How many buckets (or partitions) were compared.
        rows: Rows that were written to these.
        findings: One line for each bucket that differs, the first FINDINGS_MAX.
        not_read: Buckets that no comparison of this kind has read within a day.
        is_empty: Nothing was ever written: there is nothing to compare.
    """

    name: str
    buckets: int = 0
    rows: int = 0
    findings: tuple[str, ...] = ()
    not_read: int = 0
    is_empty: bool = False


@dataclass(frozen=True)
class _Written:
    """What was written, by bucket, and how the rows of it are told from those of running writes."""

    by_bucket: dict[str, tuple[int, int]]
    before: str
    kept_from: str
    place: dict[str, str]

    def rows(self, bucket: str) -> int:
        """Returns how many rows were written to a bucket."""
        return self.by_bucket.get(bucket, (0, 0))[0]


def compare_rows(warehouse: Warehouse, table: Table) -> Comparison:
    """Compares how many rows each bucket has with how many were written to it."""
    written = _written(warehouse, table)
    if not written.by_bucket:
        return Comparison(table.name, is_empty=True)
    there = _rows_there(warehouse, written)
    found = [
        _rows_text(bucket, written.rows(bucket), there.get(bucket, 0))
        for bucket in sorted({*written.by_bucket, *there})
    ]
    return _result(table, written, written.by_bucket, found)


def compare_content(
    warehouse: Warehouse, table: Table, *, everything: bool = False, prefix: str = ""
) -> Comparison:
    """Compares the content of the buckets that are due with what was written, and notes it.

    Args:
        warehouse: Where the table is.
        table: The table.
        everything: Read every bucket, due or not.
        prefix: Only the buckets that begin with this, as `2026-11`.
    """
    written = _written(warehouse, table)
    if not written.by_bucket:
        return Comparison(table.name, is_empty=True)
    checked = _checked(warehouse, table.name, "content")
    asked = [bucket for bucket in written.by_bucket if bucket.startswith(prefix)]
    due = _due(asked, checked, everything=everything)
    there = _content_there(warehouse, written, due)
    found = {bucket: _content_text(bucket, written, there.get(bucket, (0, 0))) for bucket in due}
    _note(warehouse, table.name, "content", found)
    left = _left(asked, found, checked)
    return _result(table, written, due, found.values(), left)


def compare_bytes(warehouse: Warehouse, name: str, *, everything: bool = False) -> Comparison:
    """Reads the files of the partitions that are due, by the engine's own checksums.

    Args:
        warehouse: Where the table is.
        name: The table, as `database.table`.
        everything: Read every partition, due or not.
    """
    database, _, plain = name.partition(".")
    rows = warehouse.rows(sql("inventory/partitions"), {"database": database, "table": plain})
    partitions = [str(partition) for (partition,) in rows]
    checked = _checked(warehouse, name, "bytes")
    due = _due(partitions, checked, everything=everything)
    found = {partition: _bytes_text(warehouse, name, partition) for partition in due}
    _note(warehouse, name, "bytes", found)
    return Comparison(
        name,
        len(due),
        findings=_shown(found.values()),
        not_read=_left(partitions, found, checked),
        is_empty=not partitions,
    )


def buckets_written(warehouse: Warehouse, table: Table) -> list[str]:
    """Returns the buckets of a table that something was written to, within its retention."""
    return sorted(_written(warehouse, table).by_bucket)


def differing(warehouse: Warehouse, table: Table) -> tuple[str, ...]:
    """Returns the buckets that have other rows or other content than were written."""
    written = _written(warehouse, table)
    buckets = sorted({*written.by_bucket, *_rows_there(warehouse, written)})
    there = _content_there(warehouse, written, buckets)
    return tuple(
        bucket
        for bucket in buckets
        if there.get(bucket, (0, 0)) != written.by_bucket.get(bucket, (0, 0))
    )


def damaged(warehouse: Warehouse, table: Table) -> tuple[str, ...]:
    """Returns the buckets that have fewer rows than were written to them."""
    written = _written(warehouse, table)
    there = _rows_there(warehouse, written)
    return tuple(
        bucket
        for bucket in sorted(written.by_bucket)
        if there.get(bucket, 0) < written.rows(bucket)
    )


def lost_parts(warehouse: Warehouse) -> list[str]:
    """Returns one line for each part that the engine or somebody put aside."""
    return [
        f"{table}: part {name} is not read ({reason})"
        for table, name, reason in warehouse.rows(sql("inventory/lost_parts"))
    ]


def mutations(warehouse: Warehouse) -> list[str]:
    """Returns one line for each statement that changed or deleted rows."""
    return [
        f"{table}: {command} at {at}"
        for table, at, command in warehouse.rows(sql("inventory/mutations"))
    ]


def _written(warehouse: Warehouse, table: Table) -> _Written:
    now, today = warehouse.row(sql("inventory/now"))
    running = open_writes(warehouse, table)
    # What came since the first of the running writes began may be theirs.
    before = min([str(now), *(each.begun_at for each in running)])
    days_after = kept_from(table, date.fromisoformat(str(today)))
    rows = warehouse.rows(
        sql("inventory/written"),
        {
            "table": table.name,
            "kept_from": days_after,
            "open": [each.write_id for each in running],
        },
    )
    return _Written(
        {str(bucket): (int(count), int(digest) % _MODULUS) for bucket, count, digest in rows},
        before,
        days_after,
        {"database": "masques_ops", "view": table.view},
    )


def _rows_there(warehouse: Warehouse, written: _Written) -> dict[str, int]:
    rows = warehouse.rows(
        sql("inventory/rows_there"),
        {**written.place, "before": written.before, "kept_from": written.kept_from},
    )
    return {str(bucket): int(count) for bucket, count in rows}


def _content_there(
    warehouse: Warehouse, written: _Written, buckets: list[str]
) -> dict[str, tuple[int, int]]:
    rows = warehouse.rows(
        sql("inventory/content_there"),
        {**written.place, "before": written.before, "buckets": buckets},
    )
    return {str(bucket): (int(count), int(digest)) for bucket, count, digest in rows}


def kept_from(table: Table, today: date) -> str:
    """Returns the last day that retention may have removed; '' when nothing is removed."""
    if not table.kept_years:
        return ""
    first = today.replace(year=today.year - table.kept_years, day=min(today.day, 28))
    # A day of February 29, and the days from 29 on, end within the next three.
    return date.fromordinal(first.toordinal() + 4).isoformat()


def _checked(warehouse: Warehouse, name: str, what: str) -> dict[str, float]:
    rows = warehouse.rows(sql("inventory/checked"), {"table": name, "what": what})
    return {str(bucket): float(at) for bucket, at, _finding in rows}


def _due(buckets: Iterable[str], checked: dict[str, float], *, everything: bool) -> list[str]:
    """Returns the buckets to read now: those whose last reading is the longest ago."""
    listed = sorted(buckets, key=lambda bucket: (checked.get(bucket, 0), bucket))
    if everything:
        return listed
    due = [bucket for bucket in listed if _is_due(bucket, checked)]
    return due[: max(1, -(-len(listed) // _TICKS))]


def _is_due(bucket: str, checked: dict[str, float]) -> bool:
    return time.time() - checked.get(bucket, 0) >= DUE_S


def _left(buckets: Iterable[str], read: Container[str], checked: dict[str, float]) -> int:
    """Returns how many buckets are due and were not read."""
    return sum(bucket not in read and _is_due(bucket, checked) for bucket in buckets)


def _note(warehouse: Warehouse, name: str, what: str, found: dict[str, str]) -> None:
    now = datetime.now(UTC)
    warehouse.insert_rows(
        "masques_ops.inventory_checks",
        ["table_name", "what", "bucket", "finding", "checked_at"],
        [[name, what, bucket, finding, now] for bucket, finding in found.items()],
    )


def _rows_text(bucket: str, written: int, there: int) -> str:
    if written == there:
        return ""
    change = f"{written - there:,} are gone" if written > there else f"{there - written:,} too many"
    return f"{bucket}: {written:,} rows were written and {there:,} are there, {change}"


def _content_text(bucket: str, written: _Written, there: tuple[int, int]) -> str:
    rows, digest = there
    if rows == written.rows(bucket) and digest != written.by_bucket[bucket][1]:
        return f"{bucket}: a row has other content than was written"
    return _rows_text(bucket, written.rows(bucket), rows)


def broken_parts(warehouse: Warehouse, name: str) -> list[str]:
    """Returns the parts of a table whose files are not what their checksums say."""
    return [part for part, _message in _unsound(warehouse, name)]


def _bytes_text(warehouse: Warehouse, name: str, partition: str) -> str:
    try:
        bad = _unsound(warehouse, f"{name} PARTITION {_partition(partition)}")
    except WarehousePermanentError as error:
        return f"partition {partition}: cannot be read: {error}"
    lines = "; ".join(f"part {part}: {message}" for part, message in bad)
    return f"partition {partition}: {lines}" if bad else ""


def _unsound(warehouse: Warehouse, what: str) -> list[tuple[str, str]]:
    """Returns the parts that CHECK TABLE does not find sound, and why.

    The driver gives the lines of this statement as one row of text, of which only 1 means sound.
    """
    rows = warehouse.rows(f"CHECK TABLE {what} SETTINGS check_query_single_value_result = 0")
    text = "\n".join("\t".join(map(str, row)) for row in rows)
    # Of an empty table it says one word.
    parts = [line.split("\t") for line in text.split("\n") if "\t" in line]
    return [(part, " ".join(rest)) for part, is_sound, *rest in parts if is_sound != "1"]


def _partition(partition: str) -> str:
    """Returns a partition as a statement names it: numbers and tuples as they are."""
    if partition.isdigit() or partition.startswith(("tuple(", "(")):
        return partition
    return "'" + partition.replace("'", "\\'") + "'"


def _shown(texts: Iterable[str]) -> tuple[str, ...]:
    """Returns the first findings; '' is none."""
    return tuple([text for text in texts if text][:FINDINGS_MAX])


def _result(
    table: Table,
    written: _Written,
    compared: Collection[str],
    found: Iterable[str],
    not_read: int = 0,
) -> Comparison:
    return Comparison(
        table.name,
        buckets=len(compared),
        rows=sum(map(written.rows, compared)),
        findings=_shown(found),
        not_read=not_read,
    )
