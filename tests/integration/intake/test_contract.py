"""The landing contract as it is documented, against the real intake."""

import json
import re

import pytest

from masques_pipelines.intake.tables import TABLES
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
