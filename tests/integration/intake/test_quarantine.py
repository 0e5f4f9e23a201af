"""Quarantine: entries are put, selected, replayed, closed and discarded."""

import gzip
from typing import Any

import pytest

from masques_pipelines import quarantine
from masques_pipelines.intake.replay import replay
from masques_pipelines.intake.tables import TABLES, UnknownTableError
from masques_pipelines.quarantine import Entry, Selection
from masques_pipelines.warehouse.client import Warehouse
from tests.support.gate_rows import (
    GOOD,
    identity,
    ndjson,
    request,
)
from tests.support.landing_zone import Zone, in_quarantine


def test_replay_after_a_fix_empties_quarantine(warehouse: Warehouse, zone: Zone) -> None:
    zone.drop("api_requests/a.ndjson", ndjson([request(1), request(1, status_code=500)]))
    broken = zone.drop("api_requests/b.ndjson.gz", gzip.compress(ndjson([request(2)]))[:-9])
    zone.load(warehouse)
    everything = Selection()
    assert [row["reason"] for row in quarantine.summary(warehouse, everything)] == [
        "bad_compression",
        "conflict:request_id",
    ]
    nothing = replay(warehouse, zone.landing, everything)
    assert (nothing.tried, nothing.closed) == (2, 0)
    assert {row["attempts"] for row in quarantine.entries(warehouse, everything, limit=9)} == {2}

    # The wrong first row is removed, the file is delivered whole.
    warehouse.command("TRUNCATE TABLE masques.api_requests")
    broken.write_bytes(gzip.compress(ndjson([request(2)])))
    done = replay(warehouse, zone.landing, everything)
    assert (done.tried, done.closed) == (2, 2)
    assert quarantine.summary(warehouse, everything) == []
    assert len(in_quarantine(warehouse, "replayed")) == 2
    assert warehouse.rows("SELECT status_code FROM masques.api_requests ORDER BY request_id") == [
        (500,),
        (200,),
    ]


def test_entries_are_selected_shown_and_discarded(warehouse: Warehouse, zone: Zone) -> None:
    zone.drop(
        "api_requests/a.ndjson",
        ndjson([b'{"request_id": "\xff"}', request(1, request_id="x"), request(2, session_id="y")]),
    )
    zone.drop("identities/a.ndjson", ndjson([identity(1, status="gone")]))
    for table in GOOD:
        zone.load(warehouse, table)
    kind = Selection(reason="bad_uuid")
    assert [(row["reason"], row["rows"]) for row in quarantine.summary(warehouse, kind)] == [
        ("bad_uuid:request_id", 1),
        ("bad_uuid:session_id", 1),
    ]
    shown = quarantine.entries(warehouse, Selection("api_requests"), limit=1)
    assert [(row["line_no"], row["raw"]) for row in shown] == [(1, '{"request_id": "\ufffd"}')]
    assert quarantine.discard(warehouse, kind) == 2
    assert quarantine.discard(warehouse, kind) == 0
    assert len(in_quarantine(warehouse, "discarded")) == 2
    assert [reason for _, _, reason in in_quarantine(warehouse)] == [
        "invalid_json",
        "unknown_status",
    ]


def all_entries(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return warehouse.rows(
        "SELECT table_name, source, line_no, reason, hex(raw), attempts, state "
        "FROM masques_ops.quarantine FINAL ORDER BY ALL"
    )


def test_an_entry_keeps_its_age_its_attempts_and_that_it_was_discarded(
    warehouse: Warehouse,
) -> None:
    first = [
        Entry("a.ndjson", 1, "bad_uuid:id", b"\xff\x00"),
        Entry("a.ndjson", 2, "bad_uuid:id", b"2"),
        Entry("b.ndjson", 1, "bad_uuid:id", "é".encode() * 200),
        Entry("b.ndjson", 0, "bad_csv", b"the whole file"),
    ]
    quarantine.put(warehouse, "settlements", first)
    quarantine.put(warehouse, "exchange_rates", [])
    old = "2020-01-01 00:00:00.000"
    warehouse.command(
        "ALTER TABLE masques_ops.quarantine UPDATE "
        f"first_seen = '{old}' WHERE 1 SETTINGS mutations_sync = 2"
    )
    assert quarantine.discard(warehouse, Selection(source="a.ndjson")) == 2
    assert quarantine.discard(warehouse, Selection(source="a.ndjson")) == 0
    quarantine.close_files(warehouse, "settlements", ["b.ndjson", "c.ndjson"])
    again = [
        Entry("a.ndjson", 1, "missing:id", b"other"),
        Entry("b.ndjson", 0, "bad_csv", b"again"),
        Entry("c.ndjson", 1, "bad_uuid:id", b"c"),
    ]
    quarantine.put(warehouse, "settlements", again)
    quarantine.put(warehouse, "exchange_rates", [Entry("a.ndjson", 1, "bad_uuid:id", b"rate")])
    name = "settlements"
    assert all_entries(warehouse) == [
        ("exchange_rates", "a.ndjson", 1, "bad_uuid:id", b"rate".hex().upper(), 1, "open"),
        (name, "a.ndjson", 1, "missing:id", b"other".hex().upper(), 2, "discarded"),
        (name, "a.ndjson", 2, "bad_uuid:id", "32", 1, "discarded"),
        (name, "b.ndjson", 0, "bad_csv", b"again".hex().upper(), 3, "open"),  # open again
        (name, "b.ndjson", 1, "bad_uuid:id", "C3A9" * 200, 1, "open"),
        (name, "c.ndjson", 1, "bad_uuid:id", "63", 1, "open"),
    ]
    assert warehouse.rows(
        f"SELECT table_name, source, line_no FROM masques_ops.quarantine FINAL "
        f"WHERE first_seen != '{old}' ORDER BY ALL"
    ) == [("exchange_rates", "a.ndjson", 1), (name, "c.ndjson", 1)]


def test_the_lines_of_a_corrected_file_are_closed_but_for_those_still_bad(
    warehouse: Warehouse,
) -> None:
    entries = [Entry(f"{name}.csv", line, "bad", b"x") for name in "ab" for line in (0, 1, 2)]
    quarantine.put(warehouse, "exchange_rates", entries)
    quarantine.put(warehouse, "settlements", entries)
    assert quarantine.open_sources(warehouse, "exchange_rates") == {"a.csv", "b.csv"}
    quarantine.close_lines(warehouse, "exchange_rates", "a.csv", bad_lines=[2])
    quarantine.close_lines(warehouse, "exchange_rates", "b.csv", bad_lines=[])
    states = [
        (table, source, line, state) for table, source, line, *_, state in all_entries(warehouse)
    ]
    assert states[:6] == [
        ("exchange_rates", "a.csv", 0, "replayed"),
        ("exchange_rates", "a.csv", 1, "replayed"),
        ("exchange_rates", "a.csv", 2, "open"),
        ("exchange_rates", "b.csv", 0, "replayed"),
        ("exchange_rates", "b.csv", 1, "replayed"),
        ("exchange_rates", "b.csv", 2, "replayed"),
    ]
    assert {state for *_, state in states[6:]} == {"open"}
    assert quarantine.open_sources(warehouse, "exchange_rates") == {"a.csv"}


def test_a_file_that_comes_again_with_the_bytes_of_another_closes_its_entry(
    warehouse: Warehouse, zone: Zone
) -> None:
    whole = gzip.compress(ndjson([request(1)]))
    broken = zone.drop("api_requests/a.ndjson.gz", whole[:-9])
    zone.load(warehouse)
    zone.drop("api_requests/b.ndjson.gz", whole)
    zone.load(warehouse)
    assert [line for _, line, _ in in_quarantine(warehouse)] == [0]
    broken.write_bytes(whole)
    done = zone.load(warehouse)
    assert [(file.state, file.problem) for file in done.files] == [
        ("same", "the same bytes as api_requests/b.ndjson.gz")
    ]
    assert in_quarantine(warehouse) == []
    assert len(in_quarantine(warehouse, "replayed")) == 1


def test_a_table_that_the_landing_zone_does_not_feed_is_not_replayed(
    warehouse: Warehouse, zone: Zone
) -> None:
    for name in quarantine.REMEDIES:
        with pytest.raises(UnknownTableError, match=f"^{name}: the landing zone feeds no such"):
            replay(warehouse, zone.landing, Selection(name))
    assert not set(quarantine.REMEDIES) & set(TABLES)
