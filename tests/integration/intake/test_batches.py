"""Batches of any size, and tables that another writer changes meanwhile."""

from datetime import UTC, datetime
from typing import Any

import pytest

from masques_pipelines.intake.loader import IntakeIncompleteError
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.landing import chunks
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql
from tests.support.gate_rows import (
    at,
    ndjson,
    request,
)
from tests.support.landing_zone import Zone, assert_accounted_for, counts, in_quarantine


@pytest.mark.parametrize(("chunk_bytes", "batch_bytes"), [(1, 1), (3_000, 5_000), (10**6, 10**6)])
def test_any_size_of_chunk_and_batch_gives_the_same(
    warehouse: Warehouse,
    zone: Zone,
    monkeypatch: pytest.MonkeyPatch,
    chunk_bytes: int,
    batch_bytes: int,
) -> None:
    monkeypatch.setattr("masques_pipelines.landing.formats.CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr("masques_pipelines.intake.batches.BATCH_BYTES", batch_bytes)
    monkeypatch.setattr(
        "masques_pipelines.landing.zone.read_blocks",
        lambda file: iter(lambda: file.read(997), b""),
    )
    rows: list[Any] = [request(n) for n in range(12)]
    rows[3:3] = ["bad", request(1), request(2, status_code=1)]
    zone.drop("api_requests/a.ndjson", ndjson(rows))
    zone.drop("api_requests/b.ndjson", ndjson([*rows[:5], request(90)]))
    done = zone.load(warehouse)
    assert counts(done) == {
        "rows_read": 21,
        "loaded": 13,
        "duplicates": 5,
        "quarantined": 3,
        "conflicts": 1,
    }
    assert in_quarantine(warehouse) == [
        ("api_requests/a.ndjson", 4, "invalid_json"),
        ("api_requests/a.ndjson", 6, "conflict:request_id"),
        ("api_requests/b.ndjson", 4, "invalid_json"),
    ]
    assert_accounted_for(warehouse, done)


def test_rows_of_another_hand_are_noticed(
    warehouse: Warehouse, zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = sql("intake/publish")

    def twice(self: Warehouse, text: str, *arguments: Any, **named: Any) -> None:
        command(self, text, *arguments, **named)
        if text == publish:
            command(self, publish.split("    AND row_key NOT IN")[0], *arguments, **named)

    command = Warehouse.command
    monkeypatch.setattr(Warehouse, "command", twice)
    zone.drop("api_requests/a.ndjson", ndjson([request(1)]))
    with pytest.raises(IntakeIncompleteError, match="holds 2 rows of the 1 new keys of a batch"):
        zone.load(warehouse)


def test_staged_rows_that_vanish_are_noticed(
    warehouse: Warehouse, zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(self: Warehouse, text: str, *arguments: Any, **named: Any) -> None:
        command(self, text, *arguments, **named)
        if "INSERT INTO masques_ops.quarantine" in text:
            command(self, "TRUNCATE TABLE masques_ops.api_requests_staged")

    command = Warehouse.command
    monkeypatch.setattr(Warehouse, "command", forgetful)
    zone.drop("api_requests/a.ndjson", ndjson([request(1), "bad"]))
    with pytest.raises(IntakeIncompleteError, match="lost rows of a batch"):
        zone.load(warehouse)
    monkeypatch.undo()
    assert counts(zone.load(warehouse)) == {"rows_read": 2, "duplicates": 1, "quarantined": 1}


def test_staged_tables_have_the_columns_of_their_table_in_their_order(
    warehouse: Warehouse,
) -> None:
    columns = (
        "SELECT name, type FROM system.columns WHERE database = '{}' AND table = '{}' "
        "AND default_kind = '' ORDER BY position"
    )
    for table in TABLES.values():
        for staged in table.staged:
            found = warehouse.rows(columns.format("masques_ops", staged))[6:]
            for database, name in table.kept_in:
                assert warehouse.rows(columns.format(database, name)) == found, staged


def test_long_values_keep_the_check_of_chunks_honest() -> None:
    chunk = chunks.Chunk(7, b"a\n\nb")
    assert (chunk.lines, chunk.lines_sum) == (3, 7 + 8 + 9)
    head, data = chunks.chunk_rows(3, "s" * 200, "gate", chunk)
    assert head[:4] == b"\x03\0\0\0"
    assert head[4:6] == b"\xc8\x01"  # 200 as LEB128
    assert data == b"a\n\nb"


def test_newest_event_and_attempts_are_recorded(warehouse: Warehouse, zone: Zone) -> None:
    zone.drop("api_requests/a.ndjson", ndjson([request(1), request(2)]))
    zone.load(warehouse)
    assert warehouse.rows(
        "SELECT folder, path, state, rows_read, loaded, attempts, newest_at "
        "FROM masques_ops.intake_files FINAL"
    ) == [
        (
            "api_requests",
            "api_requests/a.ndjson",
            "loaded",
            2,
            2,
            1,
            datetime.fromisoformat(at(2, "123456")).astimezone(UTC).replace(tzinfo=None),
        )
    ]
