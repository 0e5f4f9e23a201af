"""Reload: what is recorded of files is forgotten, and they are loaded again."""

import gzip
from typing import Any

import pytest

from masques_pipelines.intake.reload import FileNotThereError, reload_file, reload_table
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.warehouse.client import Warehouse
from tests.support.gate_rows import GOOD, ndjson, request
from tests.support.landing_zone import Zone, assert_accounted_for, counts, in_quarantine, rows_of


def held(warehouse: Warehouse, table: str) -> tuple[list[Any], list[Any], list[Any]]:
    """The table, what is in quarantine, and what the log says, but for how often."""
    return (
        rows_of(warehouse, table),
        in_quarantine(warehouse),
        warehouse.rows(
            "SELECT path, source, toString(channel), toString(state), rows_read, blank, "
            "loaded + duplicates, quarantined FROM masques_ops.intake_files FINAL "
            f"WHERE folder = '{table}' AND state != 'same' ORDER BY path, source"
        ),
    )


@pytest.mark.parametrize("table", list(TABLES))
def test_a_table_is_the_same_after_a_reload_and_what_was_lost_comes_back(
    warehouse: Warehouse, zone: Zone, table: str
) -> None:
    good = [GOOD[table](n) for n in range(8)]
    zone.drop(f"{table}/a.ndjson", ndjson([*good[:4], "bad", "", good[0]]))
    zone.drop(f"{table}/b.ndjson.gz", gzip.compress(ndjson(good[2:])))
    zone.drop(f"{table}/cut.ndjson.gz", gzip.compress(ndjson(good))[:-9])
    zone.load(warehouse, table)
    zone.drop(f"{table}/same.ndjson.gz", (zone.folder / f"{table}/b.ndjson.gz").read_bytes())
    zone.load(warehouse, table)
    before = held(warehouse, table)
    done = reload_table(warehouse, zone.landing, TABLES[table], settle_s=-1)
    assert counts(done)["duplicates"] > 0
    assert "loaded" not in counts(done)
    assert_accounted_for(warehouse, done)
    after = held(warehouse, table)
    assert after[:2] == before[:2]
    # The file with the bytes of another is read too.
    assert {row for row in after[2] if "same" not in row[0]} == set(before[2])

    for database, name in TABLES[table].kept_in:
        warehouse.command(f"TRUNCATE TABLE {database}.{name}")
    done = reload_table(warehouse, zone.landing, TABLES[table], settle_s=-1)
    assert counts(done)["loaded"] == 8
    assert held(warehouse, table)[:2] == before[:2]
    assert counts(zone.load(warehouse, table)) == {}


def test_one_file_is_reloaded_by_its_path(warehouse: Warehouse, zone: Zone) -> None:
    for n in range(3):
        zone.drop(f"api_requests/{n}.ndjson", ndjson([request(n)]))
    zone.load(warehouse)
    warehouse.command("TRUNCATE TABLE masques.api_requests")
    for path in ("api_requests/1.ndjson", str(zone.folder / "api_requests/2.ndjson")):
        done = reload_file(warehouse, zone.landing, path, settle_s=-1)
        assert [(result.path[-8:], result.loaded) for result in done.files] == [(path[-8:], 1)]
    assert warehouse.scalar("SELECT count() FROM masques.api_requests") == 2


@pytest.mark.parametrize(
    "path", ["api_requests/gone.ndjson", "exchange_rates/a.ndjson", "/etc/passwd", "x"]
)
def test_a_file_that_is_not_there_is_an_error_and_forgets_nothing(
    warehouse: Warehouse, zone: Zone, path: str
) -> None:
    zone.drop("api_requests/a.ndjson", ndjson([request(1)]))
    zone.drop("exchange_rates/a.ndjson", b"")
    zone.load(warehouse)
    before = held(warehouse, "api_requests")
    with pytest.raises(FileNotThereError, match="has no such file that is read"):
        reload_file(warehouse, zone.landing, path, settle_s=-1)
    assert held(warehouse, "api_requests") == before
