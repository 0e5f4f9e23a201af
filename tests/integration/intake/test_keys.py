"""What the intake has loaded is found by its key, at a cost that does not grow with the table."""

import itertools
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from masques_pipelines.intake.loader import IntakeIncompleteError
from masques_pipelines.intake.reload import reload_table
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql
from tests.support.gate_rows import GOOD, NOON, event, ndjson, request
from tests.support.landing_zone import Zone, assert_accounted_for, counts, rows_of


class _Killed(BaseException):
    """Ends a run where a signal would."""


def _killing(call: int, before: bool) -> Callable[..., None]:
    """Returns a Warehouse.command that dies around its n-th call which is about keys or rows."""
    command = Warehouse.command
    calls = itertools.count(1)
    watched = {sql(f"intake/{name}") for name in WATCHED}

    def wrapped(self: Warehouse, text: str, *arguments: Any, **named: Any) -> None:
        is_it = text in watched and next(calls) == call
        if is_it and before:
            raise _Killed
        command(self, text, *arguments, **named)
        if is_it:
            raise _Killed

    return wrapped


# In the order in which a batch with a key that is known runs them; publish once for each table.
WATCHED = ("find_candidates", "find_known", "find_repeats", "claim_keys", "publish")


# identities are published into two tables.
@pytest.mark.parametrize(
    ("table", "kills"),
    [
        ("api_requests", [(1, True), (4, True), (4, False), (5, False)]),
        ("identities", [(5, False), (6, False)]),
    ],
)
def test_a_kill_around_any_statement_neither_loses_a_row_nor_loads_it_twice(
    warehouse: Warehouse,
    zone: Zone,
    monkeypatch: pytest.MonkeyPatch,
    table: str,
    kills: list[tuple[int, bool]],
) -> None:
    good = GOOD[table]
    zone.drop(f"{table}/first.ndjson", ndjson([good(1)]))
    zone.load(warehouse, table)
    for n, (call, before) in enumerate(kills, 2):
        rows = [good(1), good(10 * n), good(10 * n + 1), good(10 * n)]
        zone.drop(f"{table}/{n}.ndjson", ndjson(rows))
        with monkeypatch.context() as patch:
            patch.setattr(Warehouse, "command", _killing(call, before))
            with pytest.raises(_Killed):
                zone.load(warehouse, table)
        done = zone.load(warehouse, table)
        assert counts(done)["rows_read"] == 4
        assert_accounted_for(warehouse, done)
    keys = f"SELECT row_key, content FROM masques_ops.{table}_keys ORDER BY ALL"
    found = warehouse.rows(keys)
    assert len(found) == 1 + 2 * len(kills)
    # A claim is left from each kill between the two inserts; the rows it speaks of are there once.
    zone.drop(f"{table}/again.ndjson", ndjson([good(1), good(20), good(21), good(31)]))
    assert counts(zone.load(warehouse, table)) == {"rows_read": 4, "duplicates": 4}
    assert warehouse.rows(keys) == found


def test_a_key_that_was_claimed_for_another_time_is_not_known(
    warehouse: Warehouse, zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = zone.drop("api_requests/a.ndjson", ndjson([request(1)]))
    with monkeypatch.context() as patch:
        patch.setattr(Warehouse, "command", _killing(2, before=False))
        with pytest.raises(_Killed):
            zone.load(warehouse)
    assert rows_of(warehouse) == []
    file.unlink()
    moved = request(1, timestamp=(NOON - timedelta(days=40)).isoformat())
    zone.drop("api_requests/b.ndjson", ndjson([moved]))
    assert counts(zone.load(warehouse)) == {"rows_read": 1, "loaded": 1}
    zone.drop("api_requests/c.ndjson", ndjson([request(1), moved, request(2)]))
    done = zone.load(warehouse)
    assert counts(done) == {
        "rows_read": 3,
        "loaded": 1,
        "duplicates": 1,
        "quarantined": 1,
        "conflicts": 1,
    }


def test_publish_sent_twice_writes_once(
    warehouse: Warehouse, zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = Warehouse.command

    def twice(self: Warehouse, text: str, *arguments: Any, **named: Any) -> None:
        for _ in range(2):
            command(self, text, *arguments, **named)

    monkeypatch.setattr(Warehouse, "command", twice)
    for table in ("identities", "masque_sessions"):
        good = GOOD[table]
        zone.drop(f"{table}/a.ndjson", ndjson([good(1), good(2), good(1)]))
        assert counts(zone.load(warehouse, table))["loaded"] == 2
        zone.drop(f"{table}/b.ndjson", ndjson([good(3), good(2)]))
        assert counts(zone.load(warehouse, table)) == {
            "rows_read": 2,
            "loaded": 1,
            "duplicates": 1,
        }


ROWS = 200_000
_FILL = """
INSERT INTO masques.api_requests (request_id, timestamp, identity_id, ingested_at)
SELECT
    reinterpretAsUUID(sipHash128(number)),
    now64(9) - toIntervalSecond(number % 86400) - toIntervalDay(1 + number % 300),
    toUUID('00000000-0000-0000-0000-000000000001'),
    now64(3) - INTERVAL 1 DAY
FROM numbers({rows:UInt64})"""
_SELECT = re.compile(r"^(?:--.*\n)*INSERT INTO [^\n]*\n")


def test_a_batch_reads_no_more_of_a_table_than_its_rows_need(
    warehouse: Warehouse, zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.command(_FILL, {"rows": ROWS})
    table = TABLES["api_requests"]
    names = {"keys": f"{table.name}_keys", "key_times": table.key_times}
    warehouse.command(sql("intake/write_keys"), names)
    for name in ("masques.api_requests", f"masques_ops.{table.key_times}"):
        warehouse.command(f"OPTIMIZE TABLE {name} FINAL")
    known = warehouse.rows("SELECT request_id, timestamp FROM masques.api_requests LIMIT 3")
    conflicts = [request(n, request_id=str(key)) for n, (key, _at) in enumerate(known)]
    zone.drop("api_requests/a.ndjson", ndjson([*conflicts, *map(request, range(100, 200))]))
    read: dict[str, int] = {}
    command, rows = Warehouse.command, Warehouse.rows

    def note(self: Warehouse, text: str, parameters: Any) -> None:
        select = _SELECT.sub("", text)
        if "masques_ops.{key" in text and "staged" in text + str(parameters):
            estimate = rows(self, f"EXPLAIN ESTIMATE {select}", parameters)
            read[text] = sum(int(each[3]) for each in estimate)

    def noted_command(self: Warehouse, text: str, parameters: Any = None, **named: Any) -> None:
        note(self, text, parameters)
        command(self, text, parameters, **named)

    def noted_rows(self: Warehouse, text: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        note(self, text, parameters)
        return rows(self, text, parameters)

    monkeypatch.setattr(Warehouse, "command", noted_command)
    monkeypatch.setattr(Warehouse, "rows", noted_rows)
    done = zone.load(warehouse)
    monkeypatch.undo()
    assert counts(done) == {
        "rows_read": 103,
        "loaded": 100,
        "quarantined": 3,
        "conflicts": 3,
    }
    assert len(read) >= 3
    assert {text: count for text, count in read.items() if count > ROWS // 4} == {}


def test_a_table_that_lost_its_keys_has_them_after_a_reload(
    warehouse: Warehouse, zone: Zone
) -> None:
    zone.drop("api_requests/a.ndjson", ndjson([request(n) for n in range(20)]))
    zone.load(warehouse)
    warehouse.command("TRUNCATE TABLE masques_ops.api_requests_key_times")
    done = reload_table(warehouse, zone.landing, TABLES["api_requests"], settle_s=-1)
    assert counts(done) == {"rows_read": 20, "duplicates": 20}
    assert len(rows_of(warehouse)) == 20


def test_rows_that_do_not_arrive_are_noticed_and_come_with_the_next_run(
    warehouse: Warehouse, zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = sql("intake/publish")
    command = Warehouse.command

    def losing(self: Warehouse, text: str, *arguments: Any, **named: Any) -> None:
        if text != publish:
            command(self, text, *arguments, **named)

    monkeypatch.setattr(Warehouse, "command", losing)
    zone.drop("reputation_events/a.ndjson", ndjson([event(1)]))
    with pytest.raises(IntakeIncompleteError, match="holds 0 rows of the 1 new keys of a batch"):
        zone.load(warehouse, "reputation_events")
    monkeypatch.undo()
    assert counts(zone.load(warehouse, "reputation_events")) == {"rows_read": 1, "loaded": 1}


def test_the_time_of_a_key_is_that_of_its_row_in_every_table(
    warehouse: Warehouse, zone: Zone
) -> None:
    for table, good in GOOD.items():
        zone.drop(f"{table}/a.ndjson", ndjson([good(1)]))
        zone.load(warehouse, table)
        times = "SELECT row_key, event_at FROM masques_ops."
        found = warehouse.rows(f"{times}{TABLES[table].key_times}")
        assert found == warehouse.rows(f"{times}{table}_keys"), table
        assert len(found) == 1
