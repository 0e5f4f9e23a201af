"""The intake on the real engine: files in, whole tables and quarantine compared."""

import gzip
import io
import itertools
import json
import os
import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import zstandard
from click.testing import CliRunner
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from masques_pipelines.cli import masques
from masques_pipelines.intake import quarantine
from masques_pipelines.intake.frames import load_frame
from masques_pipelines.intake.loader import IntakeIncompleteError
from masques_pipelines.intake.run import IntakeResult
from masques_pipelines.intake.tables import TABLES, IntakeTable
from masques_pipelines.landing import chunks
from masques_pipelines.landing import compression as decompression
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql
from tests.integration.conftest import Zone
from tests.support.gate_rows import (
    GOOD,
    NOON,
    at,
    event,
    identity,
    made_id,
    ndjson,
    request,
    session,
)

COUNTS = ("rows_read", "blank", "loaded", "duplicates", "quarantined", "conflicts")


def counts(done: IntakeResult) -> dict[str, int]:
    return {name: done.total(name) for name in COUNTS if done.total(name)}


def rows_of(warehouse: Warehouse, table: str = "api_requests") -> list[tuple[Any, ...]]:
    return warehouse.rows(f"SELECT * EXCEPT ingested_at FROM masques.{table} ORDER BY ALL")


def in_quarantine(warehouse: Warehouse, state: str = "open") -> list[tuple[Any, ...]]:
    return warehouse.rows(
        "SELECT source, line_no, reason FROM masques_ops.quarantine FINAL "
        f"WHERE state = '{state}' ORDER BY ALL"
    )


def assert_accounted_for(warehouse: Warehouse, done: IntakeResult) -> None:
    for file in done.files:
        assert file.rows_read == file.blank + file.loaded + file.duplicates + file.quarantined
    assert warehouse.rows(sql("intake/rows_accounted_for"), {"folder": done.table.name}) == []
    assert warehouse.rows(sql("intake/keys_unique"), {"keys": f"{done.table.name}_keys"}) == []


# --- What arrives, exactly -----------------------------------------------------------------------


def test_a_row_of_each_table_arrives_exactly(warehouse: Warehouse, zone: Zone) -> None:
    for table, good in GOOD.items():
        zone.drop(f"{table}/day.ndjson", ndjson([good(3)]))
        assert counts(zone.load(warehouse, table)) == {"rows_read": 1, "loaded": 1}
    ns = "toUnixTimestamp64Nano"
    noon_ns = int(NOON.timestamp()) * 10**9

    assert warehouse.rows(
        f"SELECT * EXCEPT (ingested_at, timestamp), {ns}(timestamp) FROM masques.api_requests"
    ) == [
        (
            uuid.UUID(made_id(3, 1)),
            uuid.UUID(made_id(3, 2)),
            uuid.UUID(made_id(3, 3)),
            "/v1/masques/3",
            "POST",
            "masque",
            "3",
            3,
            2**63 + 3,
            30,
            3,
            Decimal("0.000123"),
            uuid.UUID(made_id(3, 4)),
            200,
            "paid",
            f"{4:032x}",
            f"{4:016x}",
            noon_ns + 3_123_456_789,
        )
    ]
    assert warehouse.rows(
        f"SELECT * EXCEPT (ingested_at, donned_at, doffed_at), {ns}(donned_at), {ns}(doffed_at) "
        "FROM masques.masque_sessions"
    ) == [
        (
            "session",
            uuid.UUID(made_id(3, 3)),
            uuid.UUID(made_id(3, 2)),
            "Codesmith",
            "0.1.0",
            "private",
            None,
            "write",
            {"name": "cli", "version": "2"},
            "",
            uuid.UUID(made_id(0, 5)),
            uuid.UUID(made_id(3, 4)),
            noon_ns + 3_123_456_789,
            noon_ns + 63_123_456_789,
        )
    ]
    assert warehouse.rows(
        f"SELECT * EXCEPT (ingested_at, created_at, updated_at), {ns}(created_at), "
        f"{ns}(updated_at) FROM masques.identities"
    ) == [
        (
            uuid.UUID(made_id(3, 2)),
            "agent",
            "agent 3",
            {"team": "blue"},
            {"wallet": "0xabc"},
            "active",
            "",
            noon_ns + 123_456_789,
            noon_ns + 3_123_456_789,
        )
    ]
    assert warehouse.rows(
        f"SELECT * EXCEPT (ingested_at, timestamp), {ns}(timestamp) FROM masques.reputation_events"
    ) == [
        (
            uuid.UUID(made_id(3, 6)),
            uuid.UUID(made_id(3, 2)),
            "task_quality",
            "task_done",
            0.25,
            0.5,
            "session",
            made_id(3, 3),
            {"counterparty_id": made_id(1, 2)},
            noon_ns + 3_123_456_789,
        )
    ]


def test_times_and_prices_are_read_as_written(warehouse: Warehouse, zone: Zone) -> None:
    noon_s = int(NOON.timestamp())
    written: list[tuple[Any, int]] = [  # as producers write it, nanoseconds after noon
        (f"{NOON:%Y-%m-%dT%H:%M:%S}Z", 0),
        (f"{NOON:%Y-%m-%d %H:%M:%S}.5", 500_000_000),  # no zone: UTC
        (f"{NOON:%Y-%m-%dT}14:00:00+02:00", 0),
        (f"{NOON:%Y-%m-%dT}06:30:00.000000001-0530", 1),
        (noon_s, 0),
        (str(noon_s), 0),
        (noon_s * 10**3 + 7, 7_000_000),
        (noon_s * 10**6 + 7, 7_000),
        (noon_s * 10**9 + 7, 7),
        (f"{noon_s}.000000007", 7),
    ]
    prices = [  # as written, as stored
        ("1", "1"),
        (1, "1"),
        (0.1, "0.1"),
        ("0.1000000", "0.1"),
        ("999999999999.999999", "999999999999.999999"),
        ("1e-6", "0.000001"),
        ("", "0"),
        (None, "0"),
    ]
    rows: list[Any] = [request(n, timestamp=time) for n, (time, _) in enumerate(written)]
    rows += [request(100 + n, price_usd=price) for n, (price, _) in enumerate(prices)]
    # 18 digits as a JSON number are more than a double has; so is a nested field of the same name.
    literal = json.dumps(request(200, price_usd="PRICE")).replace('"PRICE"', "123456789012.123457")
    nested = literal.replace('"method"', '"x": {"price_usd": 7}, "method"', 1)
    nested = nested.replace(made_id(200, 1), made_id(201, 1))
    zone.drop("api_requests/a.ndjson", ndjson([*rows, literal, nested]))

    assert counts(zone.load(warehouse)) == {"rows_read": 20, "loaded": 20}
    got = warehouse.rows(
        "SELECT toUInt128(request_id), toUnixTimestamp64Nano(timestamp), price_usd "
        "FROM masques.api_requests ORDER BY request_id"
    )
    assert [ns - noon_s * 10**9 for _, ns, _ in got[:10]] == [after for _, after in written]
    assert [price for _, _, price in got[10:18]] == [Decimal(stored) for _, stored in prices]
    assert [price for _, _, price in got[18:]] == [Decimal("123456789012.123457")] * 2


def test_numbers_beyond_a_double_keep_their_digits(warehouse: Warehouse, zone: Zone) -> None:
    long = "123456789012.12345678901234567"  # a double ends after …123.12346
    text = f'1, {long}: " {long}'  # no number, whatever it looks like
    tiny = "1e-400"  # a double has no such number
    noon_s = int(NOON.timestamp())
    written = json.dumps(event(1, attributes={"a": 1, "list": [2], "text": text}, other=3))
    written = written.replace('"a": 1', f'"a": {long}').replace("[2]", f"[2, {long}]")
    written = written.replace('"other": 3', f'"other": {long}')
    in_text = json.dumps(event(2, attributes='{"a": LONG}'.replace("LONG", long)))
    zone.drop("reputation_events/a.ndjson", ndjson([written, in_text]))
    assert counts(zone.load(warehouse, "reputation_events")) == {"rows_read": 2, "loaded": 2}
    kept = warehouse.rows("SELECT attributes FROM masques.reputation_events ORDER BY event_id")
    assert kept == [
        ({"a": long, "list": f'[2,"{long}"]', "other": long, "text": text},),
        ({"a": long},),
    ]

    def request_with(number: int, **literals: str) -> str:
        line = json.dumps(request(number, **dict.fromkeys(literals, "LITERAL")))
        for name, literal in literals.items():
            line = line.replace(f'"{name}": "LITERAL"', f'"{name}": {literal}')
        return line

    zone.drop(
        "api_requests/a.ndjson",
        ndjson(
            [
                request_with(1, timestamp=f"{noon_s}.123456789"),
                request_with(2, price_usd="999999999999.999999"),
                request_with(3, price_usd="0.1000000000000000055"),  # as a double it is 0.1
                request_with(4, price_usd=tiny),  # and this 0
                request_with(5, price_usd="1.2.3.4.5.6.7.8.9.0.1.2"),  # no number at all
            ]
        ),
    )
    done = zone.load(warehouse)
    assert warehouse.rows(
        "SELECT request_id, toUnixTimestamp64Nano(timestamp), price_usd FROM masques.api_requests "
        "ORDER BY request_id"
    ) == [
        (uuid.UUID(made_id(1, 1)), noon_s * 10**9 + 123_456_789, Decimal("0.000123")),
        (uuid.UUID(made_id(2, 1)), noon_s * 10**9 + 2_123_456_789, Decimal("999999999999.999999")),
    ]
    assert done.reasons == {"bad_decimal:price_usd": 2, "invalid_json": 1}


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("api_requests", {"request_id": None}, "missing:request_id"),
    ("api_requests", {"request_id": str(uuid.UUID(int=0))}, "missing:request_id"),
    ("api_requests", {"request_id": "zz"}, "bad_uuid:request_id"),
    ("api_requests", {"identity_id": ""}, "missing:identity_id"),
    ("api_requests", {"session_id": "17"}, "bad_uuid:session_id"),
    ("api_requests", {"timestamp": None}, "missing:timestamp"),
    ("api_requests", {"timestamp": "12:30"}, "bad_timestamp:timestamp"),  # not today
    ("api_requests", {"timestamp": f"{NOON:%Y-%m-%d}T25:00:00Z"}, "bad_timestamp:timestamp"),
    ("api_requests", {"timestamp": "2026-02-31T00:00:00Z"}, "bad_timestamp:timestamp"),
    (
        "api_requests",
        {"timestamp": at(0, "1234567891")},
        "bad_timestamp:timestamp",
    ),  # a tenth digit
    ("api_requests", {"timestamp": "2199-01-01T00:00:00Z"}, "future_timestamp"),
    ("api_requests", {"timestamp": "2020-01-01T00:00:00Z"}, "past_retention"),
    ("api_requests", {"endpoint": ""}, "missing:endpoint"),
    ("api_requests", {"tokens_input": -1}, "bad_integer:tokens_input"),
    ("api_requests", {"tokens_output": 2**64}, "bad_integer:tokens_output"),
    ("api_requests", {"duration_ms": "1.5"}, "bad_integer:duration_ms"),
    ("api_requests", {"status_code": 65_536}, "bad_integer:status_code"),
    ("api_requests", {"price_usd": "0.0000001"}, "bad_decimal:price_usd"),  # would be lost
    ("api_requests", {"price_usd": "12,50"}, "bad_decimal:price_usd"),
    ("api_requests", {"price_usd": "1000000000000"}, "bad_decimal:price_usd"),
    ("api_requests", {"payment_status": "PAID"}, "unknown_payment_status"),
    ("api_requests", {"trace_id": "xyz"}, "bad_trace_id:trace_id"),
    ("api_requests", {"span_id": "0" * 16 + "1"}, "bad_span_id:span_id"),
    ("identities", {"identity_type": "robot"}, "unknown_identity_type"),
    ("identities", {"status": "gone"}, "unknown_status"),
    ("identities", {"created_at": None}, "missing:created_at"),
    ("identities", {"updated_at": "2199-01-01"}, "future_timestamp"),
    ("identities", {"updated_at": at(-1)}, "updated_before_created"),
    ("identities", {"attributes": [1]}, "bad_map:attributes"),
    ("masque_sessions", {"report": "hat"}, "unknown_report"),
    ("masque_sessions", {"donned_at": None}, "missing:donned_at"),
    ("masque_sessions", {"doffed_at": None}, "missing:doffed_at"),
    ("masque_sessions", {"doffed_at": at(-9)}, "doffed_before_donned"),
    ("masque_sessions", {"masque_source": "stolen"}, "unknown_masque_source"),
    ("masque_sessions", {"masque_name": ""}, "missing:masque_name"),
    ("masque_sessions", {"client_info": "cli"}, "bad_map:client_info"),
    ("reputation_events", {"category": "luck"}, "unknown_category"),
    ("reputation_events", {"score_delta": "high"}, "bad_number:score_delta"),
    ("reputation_events", {"confidence": "nan"}, "bad_number:confidence"),
    ("reputation_events", {"reference_type": "rumour"}, "unknown_reference_type"),
]


def test_each_kind_of_bad_row_goes_to_quarantine_with_its_reason(
    warehouse: Warehouse, zone: Zone
) -> None:
    for table, good in GOOD.items():
        bad = [(changes, reason) for name, changes, reason in BAD if name == table]
        lines = ndjson([good(n, **changes) for n, (changes, _) in enumerate(bad)])
        zone.drop(f"{table}/bad.ndjson", lines + ndjson([good(1000)]))
        done = zone.load(warehouse, table)
        assert counts(done) == {
            "rows_read": len(bad) + 1,
            "loaded": 1,
            "quarantined": len(bad),
        }
        assert_accounted_for(warehouse, done)
        entries = warehouse.rows(
            "SELECT line_no, reason, raw, attempts, state FROM masques_ops.quarantine FINAL "
            f"WHERE table_name = '{table}' ORDER BY line_no"
        )
        raw = lines.decode().splitlines()
        assert entries == [(n + 1, reason, raw[n], 1, "open") for n, (_, reason) in enumerate(bad)]


def test_unknown_fields_are_kept_where_there_is_a_map_and_counted_where_not(
    warehouse: Warehouse, zone: Zone
) -> None:
    extra = {"region": "eu", "weights": {"a": [1, 2]}, "nothing": None}
    for table, good in GOOD.items():
        zone.drop(f"{table}/a.ndjson", ndjson([good(1, **extra), good(2)]))
    assert zone.load(warehouse, "api_requests").total("unknown_fields") == 3
    for table, column in (
        ("identities", "attributes"),
        ("masque_sessions", "client_info"),
        ("reputation_events", "attributes"),
    ):
        assert zone.load(warehouse, table).total("unknown_fields") == 0
        kept = warehouse.scalar(
            f"SELECT max(mapFilter((k, v) -> k IN ('region', 'weights', "
            f"'nothing'), {column})) FROM masques.{table}"
        )
        assert kept == {"region": "eu", "weights": '{"a":[1,2]}'}


# --- Formats -------------------------------------------------------------------------------------


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    frame = pd.DataFrame(rows)
    for name in frame.columns:
        frame[name] = [json.dumps(v) if isinstance(v, dict) else v for v in frame[name]]
    return frame.to_csv(index=False).encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    """Typed as an engine would write it: times, decimals, binary ids, maps."""
    columns: dict[str, pa.Array] = {}
    for name in rows[0]:
        values: list[Any] = [row.get(name) for row in rows]
        if name.endswith("_at") or name == "timestamp":
            ns = [pd.Timestamp(v).value for v in values]
            columns[name] = pa.array(ns, pa.timestamp("ns", "UTC"))
        elif name.endswith("_id") and name not in (
            "resource_id",
            "trace_id",
            "span_id",
            "reference_id",
        ):
            columns[name] = pa.array([uuid.UUID(v).bytes for v in values], pa.binary(16))
        elif name == "price_usd":
            columns[name] = pa.array([Decimal(v) for v in values], pa.decimal128(18, 6))
        elif isinstance(values[0], dict):
            pairs = [list(v.items()) for v in values]
            columns[name] = pa.array(pairs, pa.map_(pa.string(), pa.string()))
        elif name == "tokens_output":
            columns[name] = pa.array(values, pa.uint64())
        else:
            columns[name] = pa.array(values)
    out = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(columns), out, row_group_size=3)
    return out.getvalue()


FORMATS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "a.jsonl": ndjson,
    "deep/er/a.ndjson": ndjson,
    "a.ndjson.gz": lambda rows: gzip.compress(ndjson(rows)),
    "a.ndjson.zst": lambda rows: zstandard.compress(ndjson(rows)),
    "a.csv": as_csv,
    "a.csv.gz": lambda rows: gzip.compress(as_csv(rows)),
    "a.parquet": as_parquet,
    "a.parquet.zst": lambda rows: zstandard.compress(as_parquet(rows)),
}


@pytest.mark.parametrize("table", list(TABLES))
def test_every_format_gives_the_same_table(warehouse: Warehouse, zone: Zone, table: str) -> None:
    rows = [GOOD[table](n) for n in range(10)]
    zone.drop(f"{table}/first.ndjson", ndjson(rows))
    assert counts(zone.load(warehouse, table)) == {"rows_read": 10, "loaded": 10}
    first = rows_of(warehouse, table)
    for name, written in FORMATS.items():
        zone.drop(f"{table}/{name}", written(rows))
    done = zone.load(warehouse, table)
    # Compared by content: one unlike value would be a conflict.
    same = sum(file.state == "same" for file in done.files)
    assert counts(done) == {
        "rows_read": 10 * (len(FORMATS) - same),
        "duplicates": 10 * (len(FORMATS) - same),
    }
    assert rows_of(warehouse, table) == first


def test_a_frame_goes_through_the_same_door(warehouse: Warehouse) -> None:
    frame = pd.DataFrame([request(n) for n in range(5)])
    frame["timestamp"] = pd.to_datetime(frame["timestamp"]).dt.tz_convert("America/New_York")
    frame["request_id"] = frame["request_id"].map(uuid.UUID).astype(object)
    frame["price_usd"] = frame["price_usd"].map(Decimal).astype(object)
    frame.loc[3, "session_id"] = None
    frame.loc[4, "payment_status"] = "perhaps"
    done = load_frame(warehouse, "api_requests", frame, name="notebook")

    assert counts(done) == {"rows_read": 5, "loaded": 4, "quarantined": 1}
    assert in_quarantine(warehouse) == [("frame:notebook", 5, "unknown_payment_status")]
    assert warehouse.rows(
        "SELECT request_id, toUnixTimestamp64Nano(timestamp), session_id FROM masques.api_requests "
        "ORDER BY request_id LIMIT 1 OFFSET 3"
    ) == [(uuid.UUID(made_id(3, 1)), int(NOON.timestamp()) * 10**9 + 3_123_456_789, None)]
    again = load_frame(warehouse, "api_requests", frame.iloc[:4], name="notebook")
    assert counts(again) == {"rows_read": 4, "duplicates": 4}
    sessions = pd.DataFrame([session(1), session(2)])
    assert counts(load_frame(warehouse, "masque_sessions", sessions, name="s")) == {
        "rows_read": 2,
        "loaded": 2,
    }


# --- Again and again -----------------------------------------------------------------------------


def test_any_delivery_of_the_same_rows_gives_the_same_table(
    warehouse: Warehouse, zone: Zone
) -> None:
    rows = [request(n) for n in range(500)]
    zone.drop("api_requests/all.ndjson", ndjson(rows))
    assert counts(zone.load(warehouse)) == {"rows_read": 500, "loaded": 500}
    whole = rows_of(warehouse)
    assert counts(zone.load(warehouse)) == {}  # nothing is due

    zone.drop("api_requests/copy.ndjson", ndjson(rows))  # the same bytes
    copied = zone.load(warehouse)
    assert counts(copied) == {}
    assert [file.problem for file in copied.files] == ["the same bytes as api_requests/all.ndjson"]
    warehouse.command("TRUNCATE TABLE masques.api_requests")
    warehouse.command("TRUNCATE TABLE masques_ops.intake_files")
    shuffled = random.Random(5).sample(rows, 500)
    for n, start in enumerate(range(0, 500, 100)):  # shuffled, overlapping, repeated within a file
        part = shuffled[start : start + 150]
        zone.drop(f"api_requests/part{n}.ndjson", ndjson([*part, *part[:20]]))
    done = zone.load(warehouse)
    assert done.total("loaded") == 500
    assert done.total("conflicts") == 0
    assert rows_of(warehouse) == whole
    assert_accounted_for(warehouse, done)


def test_the_first_of_two_contents_stays_and_the_other_is_a_conflict(
    warehouse: Warehouse, zone: Zone
) -> None:
    zone.drop("api_requests/a.ndjson", ndjson([request(1), request(1, status_code=500)]))
    assert counts(zone.load(warehouse)) == {
        "rows_read": 2,
        "loaded": 1,
        "quarantined": 1,
        "conflicts": 1,
    }
    # Another month, another identity: the key alone decides.
    moved = request(1, timestamp=(NOON - timedelta(days=40)).isoformat(), identity_id=made_id(9, 2))
    zone.drop("api_requests/b.ndjson", ndjson([moved, request(1)]))
    done = zone.load(warehouse)
    assert counts(done) == {"rows_read": 2, "duplicates": 1, "quarantined": 1, "conflicts": 1}
    assert done.reasons == {"conflict:request_id": 1}
    assert warehouse.rows("SELECT status_code FROM masques.api_requests") == [(200,)]
    assert warehouse.rows(
        "SELECT source, line_no, raw FROM masques_ops.quarantine FINAL ORDER BY source"
    ) == [
        ("api_requests/a.ndjson", 2, json.dumps(request(1, status_code=500))),
        ("api_requests/b.ndjson", 1, json.dumps(moved)),
    ]
    assert_accounted_for(warehouse, done)


def test_identities_keep_their_versions_and_merge_to_the_newest(
    warehouse: Warehouse, zone: Zone
) -> None:
    old, new = identity(1, updated_at=at(5)), identity(1, updated_at=at(9), status="revoked")
    zone.drop("identities/a.ndjson", ndjson([new]))
    zone.load(warehouse, "identities")
    zone.drop("identities/b.ndjson", ndjson([old]))  # late
    zone.load(warehouse, "identities")
    warehouse.command("OPTIMIZE TABLE masques.identities FINAL")
    zone.drop("identities/c.ndjson", ndjson([old, new]))
    assert counts(zone.load(warehouse, "identities")) == {"rows_read": 2, "duplicates": 2}
    assert warehouse.rows("SELECT status FROM masques_marts.identities_current") == [("revoked",)]
    assert warehouse.rows(
        "SELECT status FROM masques_ops.identity_versions ORDER BY updated_at"
    ) == [("active",), ("revoked",)]


def test_a_path_that_comes_again_with_other_content_is_read_again(
    warehouse: Warehouse, zone: Zone
) -> None:
    zone.drop("api_requests/a.ndjson", ndjson([request(1), "first"]))
    zone.load(warehouse)
    zone.drop("api_requests/a.ndjson", ndjson([request(2), request(1), "other, and longer"]))
    assert counts(zone.load(warehouse)) == {
        "rows_read": 3,
        "loaded": 1,
        "duplicates": 1,
        "quarantined": 1,
    }
    lines = warehouse.rows("SELECT source, raw FROM masques_ops.quarantine FINAL ORDER BY source")
    assert [raw for _, raw in lines] == ["first", "other, and longer"]
    assert lines[0][0] == "api_requests/a.ndjson"
    assert lines[1][0].startswith("api_requests/a.ndjson@")


# --- What it means -------------------------------------------------------------------------------


def test_sessions_merge_and_findings_are_found_and_go_away(
    warehouse: Warehouse, zone: Zone
) -> None:
    doff = session(1, "doff", masque_name="", masque_version="", intent="", duration_ms=60_000)
    zone.drop("masque_sessions/doff.ndjson", ndjson([doff]))
    zone.drop(
        "api_requests/a.ndjson",
        ndjson([request(1), request(2, session_id=None), request(12, transaction_id=None)]),
    )
    zone.drop("reputation_events/a.ndjson", ndjson([event(1)]))
    for table in GOOD:
        zone.load(warehouse, table)
    findings = "SELECT finding, id FROM masques_marts.intake_findings ORDER BY ALL"
    assert warehouse.rows(findings) == [
        ("doff_without_don", uuid.UUID(made_id(1, 3))),
        ("event_of_unknown_identity", uuid.UUID(made_id(1, 6))),
        ("paid_without_transaction", uuid.UUID(made_id(12, 1))),
        ("session_without_identity", uuid.UUID(made_id(1, 3))),
    ]
    zone.drop("masque_sessions/don.ndjson", ndjson([session(1, "don")]))
    zone.drop("identities/a.ndjson", ndjson([identity(1)]))
    zone.drop("api_requests/b.ndjson", ndjson([request(3)]))
    for table in GOOD:
        zone.load(warehouse, table)
    assert warehouse.rows(findings) == [
        ("paid_without_transaction", uuid.UUID(made_id(12, 1))),
        ("request_of_unknown_session", uuid.UUID(made_id(3, 1))),
    ]
    current = warehouse.records(
        "SELECT * EXCEPT (donned_at, doffed_at), "
        "toUnixTimestamp64Nano(assumeNotNull(doffed_at)) - toUnixTimestamp64Nano(donned_at) AS ns "
        "FROM masques_marts.sessions_current"
    )
    assert current == [
        {
            "session_id": uuid.UUID(made_id(1, 3)),
            "identity_id": uuid.UUID(made_id(1, 2)),
            "masque_name": "Codesmith",
            "masque_version": "0.1.0",
            "masque_source": "private",
            "duration_ms": 60_000,
            "intent": "write",
            "client_info": {"name": "cli", "version": "2"},
            "trace_id": "",
            "author_id": uuid.UUID(made_id(0, 5)),
            "transaction_id": uuid.UUID(made_id(1, 4)),
            "has_don": 1,
            "has_doff": 1,
            "reports": 2,
            "ns": 60 * 10**9,
        }
    ]


# --- Files that mean harm ------------------------------------------------------------------------


def test_hostile_lines_cost_nothing_but_themselves(warehouse: Warehouse, zone: Zone) -> None:
    good = [request(n) for n in range(4)]
    ten_megabytes = json.dumps(request(4, endpoint="/" + "x" * 10_000_000)).encode()
    lines: list[Any] = [
        b"\xef\xbb\xbf" + json.dumps(good[0]).encode() + b"\r",  # byte order mark, CRLF
        b"",  # blank
        b" \t\r",
        good[1],
        b'{"request_id": "\xff\xfe"}',  # broken UTF-8
        b'{"request_id": "\x00"}',  # NUL
        b"[" * 5_000 + b"]" * 5_000,  # deep
        b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
        b'{"request_id": ' + b"9" * 5_000 + b"}",  # a huge number
        b'["' + made_id(1, 1).encode() + b'"]',  # no object
        b'{"request_id": "a"} {"request_id": "b"}',  # two in one
        good[2],
        ten_megabytes,
        b"x" * 10_000_000,
        json.dumps(good[3]).encode()[:-30],  # cut short
    ]
    zone.drop("api_requests/a.ndjson", ndjson(lines).removesuffix(b"\n"))
    done = zone.load(warehouse)
    assert counts(done) == {"rows_read": 15, "blank": 2, "loaded": 4, "quarantined": 9}
    assert_accounted_for(warehouse, done)
    assert {(line, reason) for _, line, reason in in_quarantine(warehouse)} == {
        (5, "invalid_json"),
        (6, "invalid_json"),
        (7, "invalid_json"),
        (8, "invalid_json"),
        (9, "bad_uuid:request_id"),
        (10, "not_an_object"),
        (11, "invalid_json"),
        (14, "invalid_json"),
        (15, "invalid_json"),
    }
    # Quarantine keeps the bytes as they came.
    for line in (5, 6):
        kept = warehouse.scalar(
            f"SELECT hex(raw) FROM masques_ops.quarantine FINAL WHERE line_no = {line}"
        )
        assert bytes.fromhex(kept) == lines[line - 1]


def test_a_line_beyond_the_limit_is_one_bad_row(
    warehouse: Warehouse, zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("masques_pipelines.landing.formats.CHUNK_BYTES", 2_000)
    monkeypatch.setattr("masques_pipelines.landing.formats.LINE_BYTES_MAX", 5_000)
    monkeypatch.setattr("masques_pipelines.landing.formats.LONG_LINE_KEPT_BYTES", 100)
    monkeypatch.setattr("masques_pipelines.landing.formats.BLOCK_BYTES", 700)
    monkeypatch.setattr("masques_pipelines.landing.compression.BLOCK_BYTES", 700)
    rows: list[Any] = [request(0), b"y" * 9_000, request(1), request(2), b"z" * 5_500, b"w" * 9_000]
    zone.drop("api_requests/a.ndjson.gz", gzip.compress(ndjson(rows)))
    done = zone.load(warehouse)
    assert counts(done) == {"rows_read": 6, "loaded": 3, "quarantined": 3}
    assert warehouse.rows(
        "SELECT line_no, reason, raw FROM masques_ops.quarantine FINAL ORDER BY line_no"
    ) == [
        (2, "line_too_long", "y" * 100),
        (5, "line_too_long", "z" * 100),
        (6, "line_too_long", "w" * 100),
    ]


def test_files_that_cannot_be_read_are_quarantined_whole_and_stop_nothing(
    warehouse: Warehouse, zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decompression, "BOMB_BYTES_MIN", 1 << 20)
    rows = [request(n) for n in range(50)]
    parquet, packed = as_parquet(rows), zstandard.compress(ndjson(rows))
    files = {
        "bomb.ndjson.gz": gzip.compress(b"0" * (40 << 20), 9),
        "bomb.ndjson.zst": zstandard.compress(b"0" * (40 << 20), 19),
        "cut.ndjson.gz": gzip.compress(ndjson(rows))[:-20],
        "cut.ndjson.zst": packed[: len(packed) // 2],
        "cut.parquet": parquet[: len(parquet) // 2],
        "damaged.ndjson.gz": b"\x1f\x8bnot gzip at all",
        "empty.csv": b"",
        "empty.ndjson": b"",
        "empty.parquet": b"",
        "good.ndjson": ndjson(rows),
        "header.csv": b"a,a\n1,2\n",
        "quote.csv": b'request_id,endpoint\n"' + b"x\n" * 5_000_000,  # a quote never closed
    }
    for name, data in files.items():
        zone.drop(f"api_requests/{name}", data)
    done = zone.load(warehouse)
    assert [(f.path.split("/")[1], f.problem.split(":")[0]) for f in done.files if f.problem] == [
        ("bomb.ndjson.gz", "compression_bomb"),
        ("bomb.ndjson.zst", "compression_bomb"),
        ("cut.ndjson.gz", "bad_compression"),
        ("cut.ndjson.zst", "bad_compression"),
        ("cut.parquet", "bad_parquet"),
        ("damaged.ndjson.gz", "bad_compression"),
        ("empty.parquet", "bad_parquet"),
        ("header.csv", "bad_header"),
        ("quote.csv", "bad_csv"),
    ]
    assert done.total("loaded") == 50
    assert_accounted_for(warehouse, done)
    whole = [(s.split("/")[1], r) for s, line, r in in_quarantine(warehouse) if line == 0]
    assert len(whole) == 9
    assert counts(zone.load(warehouse)) == {}  # what failed is not read again and again


def test_short_and_long_csv_records_keep_their_numbers(warehouse: Warehouse, zone: Zone) -> None:
    text = as_csv([request(n) for n in range(6)]).decode().splitlines()
    text.insert(1, "only,two")
    text.insert(4, text[3] + ",one more")
    text[5] = text[5].replace("/v1", '"/v1\n')  # a line feed inside quotes
    text[5] = text[5].replace(",post", '",post')
    text.append("too short")
    zone.drop("api_requests/a.csv", "\n".join(text).encode() + b"\n")
    done = zone.load(warehouse)
    assert counts(done) == {"rows_read": 9, "loaded": 6, "quarantined": 3}
    assert warehouse.rows(
        "SELECT line_no, reason, raw FROM masques_ops.quarantine FINAL ORDER BY line_no"
    ) == [
        (2, "wrong_field_count", "only,two"),
        (5, "wrong_field_count", text[4]),
        (10, "wrong_field_count", "too short"),
    ]
    replayed = quarantine.replay(warehouse, zone.landing, quarantine.Selection())
    assert (replayed.tried, replayed.closed) == (3, 0)
    assert {reason for _, _, reason in in_quarantine(warehouse)} == {"wrong_field_count"}


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([made_id(1, 1), at(1), "paid", "0.1", "don", "9" * 400]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@st.composite
def fuzzed_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A table and a file of good rows with wrong values, missing and unknown fields, bad bytes."""
    table = draw(st.sampled_from(list(GOOD)))
    lines: list[bytes] = []
    for _ in range(draw(st.integers(0, 25))):
        row = GOOD[table](draw(st.integers(0, 5)))
        for name in draw(st.lists(st.sampled_from([*row, "other"]), max_size=3)):
            row[name] = draw(JSON_VALUES)
        line = json.dumps(row, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
        if draw(st.integers(0, 4)) == 0:
            start = draw(st.integers(0, len(line)))
            noise = draw(st.binary(max_size=6))
            line = line[:start] + noise + line[start + draw(st.integers(0, 5)) :]
        lines.append(line)
    ending = draw(st.sampled_from([b"\n", b"\r\n"]))
    return table, ending.join(lines)


def test_fuzzed_files_never_lose_a_row(warehouse: Warehouse, zone: Zone) -> None:
    number = 0

    @hypothesis_settings(
        max_examples=30,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(fuzzed_files())
    def check(file: tuple[str, bytes]) -> None:
        nonlocal number
        number += 1
        table, data = file
        zone.drop(f"{table}/{number:04}.ndjson", data)
        done = zone.load(warehouse, table)
        lines = data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
        for result in done.files:
            if result.state != "same":
                assert result.rows_read == lines
            assert result.state in ("loaded", "same")

    check()
    for name, table in TABLES.items():
        done = IntakeResult(table)
        assert_accounted_for(warehouse, done)
        entered = warehouse.scalar(
            f"SELECT sum(loaded) FROM masques_ops.intake_files FINAL WHERE folder = '{name}'"
        )
        held = "masques_ops.identity_versions" if name == "identities" else f"masques.{name}"
        assert warehouse.scalar(f"SELECT count() FROM {held}") == entered


NEARLY_RIGHT: list[Any] = [
    *(
        "",
        None,
        "0" * 32,
        "0",
        "1.0",
        "1.50",
        "1e3",
        "1e-7",
        "65536",
        10**20,
        made_id(-1),
        "A" * 33,
    ),
    *(at(10**5), at(-(10**8)), f"{NOON:%Y-%m-%d}", " 1", "+1", "1.", ".5", [made_id(1)], {"a": 1}),
]


@st.composite
def lines_of_requests(draw: st.DrawFn) -> bytes:
    """A request with some values that are nearly right, so that most roads are taken."""
    row = request(draw(st.integers(0, 5)))
    for name in draw(st.lists(st.sampled_from([*row, "other"]), max_size=3)):
        row[name] = draw(JSON_VALUES | st.sampled_from(NEARLY_RIGHT))
    line = json.dumps(row)
    if draw(st.integers(0, 5)) == 0:
        other = draw(st.sampled_from(['"endpoint"', '"x"', '"\\u006dethod"']))
        line = line.replace('"method"', other)
    return line.encode() + draw(st.sampled_from([b"", b"\r", b" ", b"\0"]))


def test_the_short_road_and_the_long_one_give_the_same(
    warehouse: Warehouse, zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each field with each value by itself and without, and then any of them together.
    lines = [
        json.dumps(request(1000 + n, **{name: value})).encode()
        for n, (name, value) in enumerate(itertools.product(request(0), NEARLY_RIGHT))
    ]
    for n, name in enumerate(request(0)):
        lacking = request(2000 + n)
        del lacking[name]
        lines.append(json.dumps(lacking).encode())

    @hypothesis_settings(max_examples=400, deadline=None, derandomize=True, database=None)
    @given(lines_of_requests())
    def gather(line: bytes) -> None:
        lines.append(line)

    gather()
    stage, short = TABLES["api_requests"].stage_sql, "if(is_surely_good, ''"
    assert short in stage
    outcomes = []
    for text in (stage, stage.replace(short, "if(0 = 1, ''")):
        monkeypatch.setattr(IntakeTable, "stage_sql", text)
        for name in ("masques.api_requests", "masques_ops.quarantine", "masques_ops.intake_files"):
            warehouse.command(f"TRUNCATE TABLE {name}")
        zone.drop("api_requests/a.ndjson", b"\n".join(lines))
        done = zone.load(warehouse)
        outcomes.append((counts(done), rows_of(warehouse), in_quarantine(warehouse)))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0]["loaded"] > 3
    assert len({reason for _, _, reason in outcomes[0][2]}) > 15


def test_mutated_files_of_every_format_never_lose_a_row(warehouse: Warehouse, zone: Zone) -> None:
    chance = random.Random(11)
    rows = [request(n) for n in range(30)]
    for number in range(60):
        name, written = chance.choice(list(FORMATS.items()))
        data = bytearray(written(rows))
        for _ in range(chance.randrange(1, 8)):
            place = chance.randrange(len(data))
            match chance.randrange(3):
                case 0:
                    data[place] = chance.randrange(256)
                case 1:
                    del data[place : place + chance.randrange(1, 40)]
                case _:
                    data[place:place] = bytes(chance.randrange(256) for _ in range(5))
        zone.drop(f"api_requests/{number:03}/{name}", bytes(data))
    done = zone.load(warehouse)
    assert len(done.files) == 60
    assert_accounted_for(warehouse, done)
    assert warehouse.scalar("SELECT count() FROM masques.api_requests") == done.total("loaded")
    # Not everything is refused: most rows of a file with one wrong byte are good.
    assert done.total("loaded") >= 30
    assert 0 < done.files_failed < 60


# --- Quarantine ----------------------------------------------------------------------------------


def test_replay_after_a_fix_empties_quarantine(warehouse: Warehouse, zone: Zone) -> None:
    zone.drop("api_requests/a.ndjson", ndjson([request(1), request(1, status_code=500)]))
    broken = zone.drop("api_requests/b.ndjson.gz", gzip.compress(ndjson([request(2)]))[:-9])
    zone.load(warehouse)
    everything = quarantine.Selection()
    assert [row["reason"] for row in quarantine.summary(warehouse, everything)] == [
        "bad_compression",
        "conflict:request_id",
    ]
    nothing = quarantine.replay(warehouse, zone.landing, everything)
    assert (nothing.tried, nothing.closed) == (2, 0)
    assert {row["attempts"] for row in quarantine.entries(warehouse, everything, limit=9)} == {2}

    # The wrong first row is removed, the file is delivered whole.
    warehouse.command("TRUNCATE TABLE masques.api_requests")
    broken.write_bytes(gzip.compress(ndjson([request(2)])))
    done = quarantine.replay(warehouse, zone.landing, everything)
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
    kind = quarantine.Selection(reason="bad_uuid")
    assert [(row["reason"], row["rows"]) for row in quarantine.summary(warehouse, kind)] == [
        ("bad_uuid:request_id", 1),
        ("bad_uuid:session_id", 1),
    ]
    shown = quarantine.entries(warehouse, quarantine.Selection("api_requests"), limit=1)
    assert [(row["line_no"], row["raw"]) for row in shown] == [(1, '{"request_id": "\ufffd"}')]
    assert quarantine.discard(warehouse, kind) == 2
    assert quarantine.discard(warehouse, kind) == 0
    assert len(in_quarantine(warehouse, "discarded")) == 2
    assert [reason for _, _, reason in in_quarantine(warehouse)] == [
        "invalid_json",
        "unknown_status",
    ]


# --- Chunks, batches, other writers --------------------------------------------------------------


@pytest.mark.parametrize(("chunk_bytes", "batch_bytes"), [(1, 1), (3_000, 5_000), (10**6, 10**6)])
def test_any_size_of_chunk_and_batch_gives_the_same(
    warehouse: Warehouse,
    zone: Zone,
    monkeypatch: pytest.MonkeyPatch,
    chunk_bytes: int,
    batch_bytes: int,
) -> None:
    monkeypatch.setattr("masques_pipelines.landing.formats.CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr("masques_pipelines.intake.loader.BATCH_BYTES", batch_bytes)
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
    with pytest.raises(IntakeIncompleteError, match="holds 2 rows of the 1 keys of a batch"):
        zone.load(warehouse)


def test_staged_rows_that_vanish_are_noticed(
    warehouse: Warehouse, zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(self: Warehouse, text: str, *arguments: Any, **named: Any) -> None:
        command(self, text, *arguments, **named)
        if text == sql("intake/quarantine_staged"):
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
    head, data = chunks.chunk_rows(3, "s" * 200, chunk)
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


def test_the_commands_speak_to_people(
    warehouse: Warehouse,
    zone: Zone,
    engine_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    monkeypatch.setenv("MASQUES_LANDING_URL", str(zone.folder))
    file = zone.drop("api_requests/a.ndjson", ndjson([request(1), request(2, price_usd="dear")]))
    os.utime(file, (1, 1))

    def said(*arguments: str) -> str:
        done = CliRunner().invoke(masques, ["intake", *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    assert "api_requests: 1 files, 2 rows: 1 loaded, 0 duplicates, 1 quarantined" in said("load")
    assert "bad_decimal:price_usd" in said("quarantine", "list", "--table", "api_requests")
    assert "api_requests/a.ndjson:2  bad_decimal:price_usd  (open)" in said("quarantine", "show")
    # What is shown raw can be mended and delivered.
    raw = said("quarantine", "show", "--reason", "bad_decimal", "--raw")
    mended = zone.drop("api_requests/mended.ndjson", raw.replace("dear", "0.5").encode())
    os.utime(mended, (1, 1))
    assert "1 files, 1 rows: 1 loaded" in said("load", "api_requests")
    assert said("quarantine", "replay") == "tried 1, closed 0, 1 open\n"
    assert said("quarantine", "discard", "--yes", "--reason", "bad_decimal") == "discarded 1\n"
    assert said("quarantine", "list") == "quarantine is empty\n"
