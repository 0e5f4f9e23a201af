"""Folders of older days, and what is forgotten of old files and bad rows."""

from datetime import UTC, datetime, timedelta

from masques_pipelines.intake.run import load_table
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.warehouse.client import Warehouse
from tests.support.gate_rows import ndjson, request
from tests.support.landing_zone import Zone, counts

TODAY = datetime.now(UTC).date()
OLD, NEW = f"api_requests/{TODAY - timedelta(days=9)}", f"api_requests/{TODAY}"


def load(warehouse: Warehouse, zone: Zone, files_max: int = 9) -> dict[str, int]:
    table = TABLES["api_requests"]
    done = load_table(
        warehouse, zone.landing, table, settle_s=-1, recent_days=3, files_max=files_max
    )
    return counts(done)


def test_folders_of_older_days_are_looked_into_by_the_first_run_of_a_day(
    warehouse: Warehouse, zone: Zone
) -> None:
    zone.drop(f"{OLD}/a.ndjson", ndjson([request(1)]))
    zone.drop(f"{OLD}/strange.xml", b"")
    zone.drop(f"{OLD}/b.ndjson", ndjson([request(2)]))
    # A run that leaves files to the next one has not been through.
    assert load(warehouse, zone, files_max=1) == {"rows_read": 1, "loaded": 1}
    assert load(warehouse, zone) == {"rows_read": 1, "loaded": 1}
    zone.drop(f"{OLD}/late.ndjson", ndjson([request(3)]))
    zone.drop(f"{NEW}/c.ndjson", ndjson([request(4)]))
    zone.drop(f"{NEW}/same.ndjson", ndjson([request(1)]))
    table = TABLES["api_requests"]
    done = load_table(warehouse, zone.landing, table, settle_s=-1, recent_days=3)
    assert counts(done) == {"rows_read": 1, "loaded": 1}
    assert done.unlisted == [f"{OLD}/"]
    assert [file.problem for file in done.files if file.problem] == [
        f"the same bytes as {OLD}/a.ndjson"
    ]
    # What was passed over there is not taken for gone.
    states = "SELECT state, count() FROM masques_ops.intake_files FINAL GROUP BY 1 ORDER BY 1"
    assert warehouse.rows(states) == [("loaded", 3), ("passed_over", 1), ("same", 1)]
    warehouse.command("TRUNCATE TABLE masques_ops.intake_listings")  # as tomorrow
    assert load(warehouse, zone) == {"rows_read": 1, "loaded": 1}  # the late one


def test_without_a_setting_older_folders_are_looked_into_when_files_came_or_went(
    warehouse: Warehouse, zone: Zone
) -> None:
    first = zone.drop(f"{OLD}/hour=01/a.ndjson", ndjson([request(1)]))
    zone.drop(f"{NEW}/b.ndjson", ndjson([request(2)]))
    assert counts(zone.load(warehouse)) == {"rows_read": 2, "loaded": 2}
    # Within the hour the folder is as new as the file.
    assert zone.load(warehouse).unlisted == []
    _listed_in(warehouse, hours=2)  # as if that were long ago
    first.write_bytes(ndjson([request(3)]))
    done = zone.load(warehouse)
    assert (counts(done), done.unlisted) == ({}, [f"{OLD}/"])
    warehouse.command("TRUNCATE TABLE masques_ops.intake_listings")  # as tomorrow
    assert counts(zone.load(warehouse)) == {"rows_read": 1, "loaded": 1}
    zone.drop(f"{OLD}/hour=01/c.ndjson", ndjson([request(4)]))
    done = zone.load(warehouse)
    assert (counts(done), done.unlisted) == ({"rows_read": 1, "loaded": 1}, [])


def _listed_in(warehouse: Warehouse, hours: int) -> None:
    warehouse.command(
        "INSERT INTO masques_ops.intake_listings (folder, listed_at) "
        "SELECT 'api_requests', now64(6) + toIntervalHour({hours:Int32})",
        {"hours": hours},
    )


def test_what_is_old_and_settled_is_forgotten_and_nothing_else(
    warehouse: Warehouse, zone: Zone
) -> None:
    zone.drop("api_requests/there.ndjson", ndjson([request(1)]))
    zone.load(warehouse)
    warehouse.command("TRUNCATE TABLE masques_ops.intake_listings")
    # In two parts, as they are before a merge: the entry and its closing.
    for state, days in (("open", 500), ("replayed", 400), ("discarded", 100)):
        warehouse.command(
            "INSERT INTO masques_ops.quarantine (table_name, source, line_no, reason, state, "
            "attempts, updated_at) SELECT 'api_requests', 'x', number, 'bad', {state:String}, 1, "
            "now64(6) - toIntervalDay({days:UInt16}) FROM numbers(1, {rows:UInt8})",
            {"state": state, "days": days, "rows": 3 if state == "open" else 2},
        )
        warehouse.command(
            "INSERT INTO masques_ops.quarantine (table_name, source, line_no, reason, state, "
            "updated_at) SELECT 'settlements', 'x', 1, 'bad', {state:String}, "
            "now64(6) - toIntervalDay({days:UInt16})",
            {"state": state, "days": days},
        )
    warehouse.command(
        "INSERT INTO masques_ops.quarantine (table_name, source, line_no, reason, state, "
        "attempts, updated_at) SELECT 'api_requests', 'y', 1, 'bad', arrayJoin(['open', "
        "'replayed']), 1, now64(6) - toIntervalDay(500)"
    )
    warehouse.command(
        "INSERT INTO masques_ops.intake_files (folder, path, version, source, state, recorded_at) "
        "SELECT 'api_requests', arrayJoin(['api_requests/left.ndjson', "
        "'api_requests/there.ndjson']), 'old', '', 'loaded', now64(6) - toIntervalDay(400)"
    )
    zone.load(warehouse)
    assert warehouse.rows(
        "SELECT source, line_no, state FROM masques_ops.quarantine FINAL "
        "WHERE table_name = 'api_requests' ORDER BY ALL"
    ) == [("x", 1, "discarded"), ("x", 2, "discarded"), ("x", 3, "open")]
    assert warehouse.rows("SELECT DISTINCT path FROM masques_ops.intake_files ORDER BY 1") == [
        ("api_requests/there.ndjson",)
    ]
    assert warehouse.scalar("SELECT count() FROM masques_ops.quarantine FINAL") == 4
