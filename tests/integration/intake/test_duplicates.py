"""The same rows in any delivery, conflicts, and files that come again."""

import json
import random
from datetime import timedelta

from masques_pipelines.warehouse.client import Warehouse
from tests.support.gate_rows import (
    NOON,
    at,
    identity,
    made_id,
    ndjson,
    request,
)
from tests.support.landing_zone import Zone, assert_accounted_for, counts, rows_of


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
