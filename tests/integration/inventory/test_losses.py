"""Whatever goes missing of a table, or changes, is found: in rows at once, in content when read."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest

from masques_pipelines.inventory import writes
from masques_pipelines.inventory.acceptance import accept
from masques_pipelines.inventory.compare import (
    compare_bytes,
    compare_content,
    compare_rows,
    damaged,
    lost_parts,
    mutations,
)
from masques_pipelines.inventory.tables import EVENTS, PIPELINE, TABLES, Table
from masques_pipelines.inventory.writes import counted
from masques_pipelines.schema.declared import declared_schema
from masques_pipelines.schema.files import sql_files
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql
from tests.support.kept_rows import filled_once

TIMES = {
    "masques.masque_sessions": "donned_at",
    "masques_ops.identity_versions": "updated_at",
    "masques_ops.break_notes": "said_at",
    "masques_ops.positions": "computed_at",
}
# Of each table a column of text that is not part of its key.
COLUMNS = {
    "identities": "status",
    "settlements": "status",
    "breaks": "state",
    "position": "state",
}


def write(warehouse: Warehouse, table: Table, rows: int = 40, days: int = 4, seed: int = 1) -> None:
    """Writes random rows, spread over the last days."""
    columns = declared_schema().objects[table.name].columns
    time = TIMES.get(table.name, "timestamp")
    listed = [name for name in columns if name not in ("ingested_at", time)]
    structure = ", ".join(f"{name} {columns[name]}" for name in listed).replace("'", "\\'")
    warehouse.command(
        f"INSERT INTO {table.name} ({', '.join(listed)}, {time}, ingested_at) "
        f"SELECT {', '.join(listed)}, now64(9) - toIntervalDay(rowNumberInAllBlocks() % {days}) "
        "- toIntervalMicrosecond(rowNumberInAllBlocks()), now64(3) FROM "
        f"(SELECT * FROM generateRandom('{structure}', {seed}, 5, 3) LIMIT {rows})"
    )


def filled(warehouse: Warehouse) -> None:
    """Fills every table in two writes."""

    def fill() -> None:
        for table in TABLES:
            for seed in (1, 2):
                with counted(warehouse, table):
                    write(warehouse, table, seed=seed)
            assert found(warehouse, table) == (0, 0)

    filled_once(warehouse, "each table in two writes", fill)


def found(warehouse: Warehouse, table: Table) -> tuple[int, int]:
    """How many buckets differ in rows, and in content."""
    content = compare_content(warehouse, table, everything=True)
    return len(compare_rows(warehouse, table).findings), len(content.findings)


@dataclass(frozen=True)
class Damage:
    """What somebody does to a table, and how many buckets then differ: in rows, in content."""

    do: Callable[[Warehouse, Table], None]
    rows: int
    content: int


def _truncate(warehouse: Warehouse, table: Table) -> None:
    warehouse.command(f"TRUNCATE TABLE {table.name}")


def _delete_one(warehouse: Warehouse, table: Table) -> None:
    key = declared_schema().objects[table.name].sorting_key
    warehouse.command(
        f"DELETE FROM {table.name} WHERE ({key}) = (SELECT {key} FROM {table.name} LIMIT 1)"
    )


def _repeat_one(warehouse: Warehouse, table: Table) -> None:
    warehouse.command(
        f"INSERT INTO {table.name} SELECT * REPLACE (toDateTime64('2026-01-01 00:00:00', 3, 'UTC') "
        f"AS ingested_at) FROM {table.name} LIMIT 1"
    )


def _change_one(warehouse: Warehouse, table: Table) -> None:
    key = declared_schema().objects[table.name].sorting_key
    column = COLUMNS.get(table.asset, "channel")
    warehouse.command(
        f"ALTER TABLE {table.name} UPDATE {column} = 'changed' WHERE ({key}) = "
        f"(SELECT {key} FROM {table.name} LIMIT 1) SETTINGS mutations_sync = 2"
    )


DAMAGES = {
    "truncated": Damage(_truncate, 4, 4),
    "one row deleted": Damage(_delete_one, 1, 1),
    "one row repeated": Damage(_repeat_one, 1, 1),
    "one value changed": Damage(_change_one, 0, 1),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_is_found(warehouse: Warehouse, damage: str) -> None:
    filled(warehouse)
    for table in TABLES:
        _find(warehouse, table, damage)


def _find(warehouse: Warehouse, table: Table, damage: str) -> None:
    wanted = DAMAGES[damage]
    wanted.do(warehouse, table)
    has_days = table.kept_years > 0
    rows, content = found(warehouse, table)
    if has_days or damage != "truncated":
        assert (rows, content) == (wanted.rows, wanted.content)
    assert bool(rows) == bool(wanted.rows)
    # It does not go away by what is written afterwards.
    with counted(warehouse, table):
        write(warehouse, table, seed=3)
    assert len(compare_content(warehouse, table, everything=True).findings) == content


def test_a_killed_write_is_counted_by_the_next(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(warehouse)
    for table in TABLES:
        _kill(warehouse, table, monkeypatch)


def _kill(warehouse: Warehouse, table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed_at(place: str) -> Callable[[str], str]:
        def stopping(name: str) -> str:
            if name == place:
                raise KeyboardInterrupt
            return sql(name)

        return stopping

    # Before the rows are counted, and after that but before the write says so.
    for seed, place in ((5, "inventory/count"), (6, "inventory/end")):
        with (
            suppress(KeyboardInterrupt),
            monkeypatch.context() as patched,
            counted(warehouse, table),
        ):
            write(warehouse, table, seed=seed)
            patched.setattr(writes, "sql", killed_at(place))
        # While it is not ended, its rows are left out.
        assert found(warehouse, table) == (0, 0)
    with counted(warehouse, table):
        write(warehouse, table, seed=9)
    assert found(warehouse, table) == (0, 0)
    assert compare_rows(warehouse, table).rows == 200
    _delete_one(warehouse, table)
    assert found(warehouse, table) == (1, 1)


def test_an_error_in_a_write_does_not_hide_its_rows(warehouse: Warehouse) -> None:
    with suppress(ValueError), counted(warehouse, EVENTS):
        write(warehouse, EVENTS)
        raise ValueError
    assert found(warehouse, EVENTS) == (0, 0)
    assert compare_rows(warehouse, EVENTS).rows == 40


def test_two_writers_of_one_table_do_not_count_each_others_rows(warehouse: Warehouse) -> None:
    with counted(warehouse, EVENTS), counted(warehouse, EVENTS, PIPELINE):
        write(warehouse, EVENTS)
        warehouse.command(
            "INSERT INTO masques.reputation_events (event_id, timestamp, channel) "
            "SELECT generateUUIDv4(), now64(9), 'pipeline' FROM numbers(7)"
        )
    assert found(warehouse, EVENTS) == (0, 0)
    assert compare_rows(warehouse, EVENTS).rows == 47


def test_what_was_there_before_anything_was_counted_is_taken_as_written(
    warehouse: Warehouse,
) -> None:
    for table in TABLES:
        assert compare_rows(warehouse, table).is_empty
        write(warehouse, table)
        with counted(warehouse, table):
            write(warehouse, table, seed=2)
        assert found(warehouse, table) == (0, 0)
        assert compare_rows(warehouse, table).rows == 80


def test_days_past_retention_are_left_out(warehouse: Warehouse) -> None:
    table = TABLES[2]
    with counted(warehouse, table):
        write(warehouse, table, rows=600, days=300)
    assert compare_rows(warehouse, table).buckets == 300
    warehouse.command(
        "INSERT INTO masques_ops.inventory SELECT table_name, "
        "toString(toDate(bucket) - INTERVAL 362 DAY), part, write_id, rows, digest, recorded_at "
        "FROM masques_ops.inventory"
    )
    # Of the days that are written down and gone, those within the year are missed.
    assert len(compare_rows(warehouse, table).findings) in (0, 1)


def test_the_rotation_reads_every_bucket_within_a_day(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = TABLES[2]
    with counted(warehouse, table):
        write(warehouse, table, rows=300, days=100)
    read = [compare_content(warehouse, table) for _ in range(24)]
    assert [each.buckets for each in read] == [5] * 20 + [0] * 4
    assert [each.not_read for each in read][:21:5] == [95, 70, 45, 20, 0]


def test_parts_that_are_put_aside_or_changed_are_named(warehouse: Warehouse) -> None:
    table = TABLES[2]
    filled(warehouse)
    assert (lost_parts(warehouse), mutations(warehouse)) == ([], [])
    assert compare_bytes(warehouse, table.name, everything=True).findings == ()
    _change_one(warehouse, table)
    (line,) = mutations(warehouse)
    assert "masques.api_requests: (UPDATE channel = 'changed'" in line
    partition = warehouse.scalar("SELECT max(toYYYYMM(timestamp)) FROM masques.api_requests")
    warehouse.command(f"ALTER TABLE masques.api_requests DETACH PARTITION {partition}")
    assert "detached by hand" in lost_parts(warehouse)[0]
    warehouse.command(
        f"ALTER TABLE masques.api_requests DROP DETACHED PARTITION {partition} "
        "SETTINGS allow_drop_detached = 1"
    )


def test_the_hash_of_a_row_has_every_column() -> None:
    text = next(file.text for file in sql_files() if file.name == "099_views_inventory.sql")
    for table in TABLES:
        view = text.split(f"VIEW masques_ops.{table.view}\n")[1].split("COMMENT 'The rows of")[0]
        body = view.split("cityHash64(", 1)[1]
        for column in declared_schema().objects[table.name].columns:
            if column != "ingested_at":
                assert f"{column}," in body.replace("\n", ",") or f"({column})" in body, column


def test_what_restores_lost_rows_does_not_count_them_twice(warehouse: Warehouse) -> None:
    filled(warehouse)
    for table in TABLES:
        _restore(warehouse, table)


def _restore(warehouse: Warehouse, table: Table) -> None:
    warehouse.command(
        f"CREATE TABLE IF NOT EXISTS masques_ops.kept AS {table.name} ENGINE = Memory"
    )
    try:
        warehouse.command(f"INSERT INTO masques_ops.kept SELECT * FROM {table.name}")
        _truncate(warehouse, table)
        lost = damaged(warehouse, table)
        assert len(lost) == compare_rows(warehouse, table).buckets
        with counted(warehouse, table, restores=lost):
            warehouse.command(
                f"INSERT INTO {table.name} SELECT * REPLACE (now64(3) AS ingested_at) "
                "FROM masques_ops.kept"
            )
        assert found(warehouse, table) == (0, 0)
    finally:
        warehouse.command("DROP TABLE masques_ops.kept")


def test_what_cannot_be_restored_is_accepted_by_name(warehouse: Warehouse) -> None:
    damages = ("truncated", "one row repeated", "one value changed")
    filled(warehouse)
    for number, table in enumerate(TABLES):
        _accept(warehouse, table, damages[number % 3])


def _accept(warehouse: Warehouse, table: Table, damage: str) -> None:
    assert accept(warehouse, table, by="ops", reason="nothing is wrong") == ()
    DAMAGES[damage].do(warehouse, table)
    lines = accept(warehouse, table, by="ops", reason="the files are gone")
    assert lines
    assert found(warehouse, table) == (0, 0)
    assert [line for line in mutations(warehouse) if line.startswith(table.name)] == []
    assert warehouse.rows(
        "SELECT table_name, accepted_by, reason, findings FROM masques_ops.inventory_accepted "
        "ORDER BY accepted_at DESC LIMIT 1"
    ) == [(table.name, "ops", "the files are gone", list(lines))]
    with counted(warehouse, table):
        write(warehouse, table, seed=3)
    _delete_one(warehouse, table)
    assert found(warehouse, table) == (1, 1)
