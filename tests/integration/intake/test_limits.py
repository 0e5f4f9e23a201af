"""Hostile, huge and damaged files cost nothing but themselves."""

import gzip
import json
from typing import Any

import pytest

from masques_pipelines import quarantine
from masques_pipelines.intake.replay import replay
from masques_pipelines.landing import compression
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.zstd import compress as zstd_compress
from tests.support.gate_files import as_csv, as_parquet
from tests.support.gate_rows import (
    GOOD,
    made_id,
    ndjson,
    request,
)
from tests.support.landing_zone import Zone, assert_accounted_for, counts, in_quarantine


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
    monkeypatch.setattr(compression, "BOMB_BYTES_MIN", 1 << 20)
    rows = [request(n) for n in range(50)]
    parquet, packed = as_parquet(rows), zstd_compress(ndjson(rows))
    files = {
        "bomb.ndjson.gz": gzip.compress(b"0" * (40 << 20), 9),
        "bomb.ndjson.zst": zstd_compress(b"0" * (40 << 20), 19),
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
    replayed = replay(warehouse, zone.landing, quarantine.Selection())
    assert (replayed.tried, replayed.closed) == (3, 0)
    assert {reason for _, _, reason in in_quarantine(warehouse)} == {"wrong_field_count"}


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ("identities", "attributes"),
        ("identities", "external_ids"),
        ("masque_sessions", "client_info"),
        ("reputation_events", "attributes"),
    ],
)
def test_keys_of_maps_have_limits(warehouse: Warehouse, zone: Zone, table: str, field: str) -> None:
    good = GOOD[table]
    within = {**{f"k{n}": "v" for n in range(999)}, "k" * 256: "v"}
    rows = [
        good(1, **{field: within}),
        good(2, **{field: {**within, "one_more": "v"}}),
        good(3, **{field: {"k" * 257: "v"}}),
        good(4, **{field: {"ä" * 129: "v"}}),  # bytes are what counts
        good(5, **{field: {}}),
    ]
    wanted = [(2, f"too_many_keys:{field}"), *((n, f"key_too_long:{field}") for n in (3, 4))]
    if field != "external_ids":  # fields that the table lacks are keys of the map too
        rows += [good(6, **{f"u{n}": "v" for n in range(1001)}), good(7, **{"u" * 257: "v"})]
        wanted += [(6, f"too_many_keys:{field}"), (7, f"key_too_long:{field}")]
    zone.drop(f"{table}/a.ndjson", ndjson(rows))
    assert counts(zone.load(warehouse, table))["loaded"] == 2
    assert [entry[1:] for entry in in_quarantine(warehouse)] == wanted
