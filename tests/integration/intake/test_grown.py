"""A file that was read while it was uploaded, and is whole when it is read again."""

import pytest

from masques_pipelines.warehouse.client import Warehouse
from tests.support.gate_files import as_csv
from tests.support.gate_rows import ndjson, request
from tests.support.landing_zone import Zone, counts, in_quarantine

ROWS = [request(n) for n in range(3)]


@pytest.mark.parametrize("ending", ["ndjson", "csv"])
def test_a_half_line_is_closed_when_it_is_whole(
    warehouse: Warehouse, zone: Zone, ending: str
) -> None:
    whole = ndjson(ROWS) if ending == "ndjson" else as_csv(ROWS)
    path = f"api_requests/a.{ending}"
    # In the middle of the last line, and in its last value.
    last = len(whole) - len(whole.rstrip(b"\n").rsplit(b"\n", 1)[1]) - 1
    for cut in (last + 70, len(whole) - 4):
        zone.drop(path, whole[:cut])
        zone.load(warehouse)
    zone.drop(path, whole)
    assert counts(zone.load(warehouse))["rows_read"] == 3
    # A value that was cut to another good one is loaded, and the whole one is a conflict.
    left = [entry for entry in in_quarantine(warehouse) if not entry[2].startswith("conflict")]
    assert left == []
    assert len(in_quarantine(warehouse, "replayed")) >= 1


def test_a_line_of_other_content_stays_open(warehouse: Warehouse, zone: Zone) -> None:
    zone.drop("api_requests/a.ndjson", ndjson([request(0), '{"request_id": "of another row'])[:-1])
    zone.load(warehouse)
    zone.drop("api_requests/a.ndjson", ndjson([request(0), request(1), request(2)]))
    zone.load(warehouse)
    assert in_quarantine(warehouse) == [("api_requests/a.ndjson", 2, "invalid_json")]


def test_a_line_that_is_whole_and_bad_stays_open(warehouse: Warehouse, zone: Zone) -> None:
    whole = ndjson([request(0), request(1, price_usd="?")])
    zone.drop("api_requests/a.ndjson", whole[:-40])
    zone.load(warehouse)
    zone.drop("api_requests/a.ndjson", whole)
    zone.load(warehouse)
    assert [reason for _, _, reason in in_quarantine(warehouse)] == [
        "invalid_json",
        "bad_decimal:price_usd",
    ]
