"""The landing contract as it is documented, and the demo's day: both against the real intake."""

import json
import re
from pathlib import Path

import pytest

from masques_pipelines.intake.tables import TABLES
from masques_pipelines.sandbox import gate_day
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql
from tests.support.gate_rows import GOOD, NOON, ndjson
from tests.support.landing_zone import Zone, counts
from tests.support.paths import ROOT

DOCS = ROOT / "docs" / "landing"


@pytest.mark.parametrize("table", list(TABLES))
def test_the_schema_names_just_the_fields_that_are_read(warehouse: Warehouse, table: str) -> None:
    schema = json.loads((DOCS / f"{table}.schema.json").read_text())
    known = warehouse.rows(sql("intake/fields"), {"staged": TABLES[table].staged[0]})
    assert sorted(schema["properties"]) == sorted(name for (name,) in known)


def test_what_the_schema_requires_is_required_and_the_rest_is_not(
    warehouse: Warehouse, zone: Zone
) -> None:
    for table, good in GOOD.items():
        schema = json.loads((DOCS / f"{table}.schema.json").read_text())
        report = {"report": "don"} if table == "masque_sessions" else {}
        needed = [*schema["required"], *(["masque_name"] if report else [])]
        whole = good(1, **report)
        least = {name: whole[name] for name in needed}
        lacking = [{k: v for k, v in least.items() if k != name} for name in needed]
        zone.drop(f"{table}/a.ndjson", ndjson([least, *lacking]))
        done = zone.load(warehouse, table)
        assert counts(done) == {
            "rows_read": 1 + len(needed),
            "loaded": 1,
            "quarantined": len(needed),
        }, table
        assert done.reasons == {f"missing:{name}": 1 for name in needed}


def test_the_examples_of_the_documentation_are_loaded(warehouse: Warehouse, zone: Zone) -> None:
    for table in TABLES:
        text = (DOCS / f"{table}.example.ndjson").read_text()
        # Retention would eat the dates of the documentation one day.
        text = re.sub(r"\d{4}-\d\d-\d\d", f"{NOON:%Y-%m-%d}", text)
        zone.drop(f"{table}/example.ndjson", text.encode())
        done = zone.load(warehouse, table)
        assert (done.total("loaded"), done.reasons) == (text.count("\n"), {})


def test_the_demos_day_is_loaded_once_and_shows_what_can_be_wrong(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    zone = Zone(tmp_path / "landing")
    assert gate_day.install(tmp_path) == f"landing    {zone.folder}"
    totals = {}
    for table in TABLES:
        done = zone.load(warehouse, table)
        totals[table] = (done.total("loaded"), done.total("duplicates"), done.total("quarantined"))
    assert totals == {
        "identities": (53, 0, 1),
        "masque_sessions": (546, 0, 1),
        "api_requests": (1194, 1, 7),
        "reputation_events": (740, 0, 2),
        "payment_links": (37, 0, 1),
    }
    for table, charges in (
        ("api_requests", [("BTC", 134), ("SOL", 87), ("USD", 273)]),
        ("masque_sessions", [("BTC", 73), ("SOL", 47), ("USD", 127)]),
    ):
        assert charges == warehouse.rows(
            f"SELECT toString(charged_currency), count() FROM masques.{table} "
            "WHERE isNotNull(charged) GROUP BY 1 ORDER BY 1"
        )
    assert warehouse.scalar("SELECT max(timestamp) > now() - 60 FROM masques.api_requests") == 1

    gate_day.install(tmp_path)  # a second demo
    assert all(counts(zone.load(warehouse, table)) == {} for table in TABLES)
