"""A warehouse that the commit before filled: its rows stay, and come again as duplicates."""

from masques_pipelines.intake.tables import TABLES
from masques_pipelines.schema.files import SqlFile, sql_files
from masques_pipelines.warehouse.client import Warehouse
from tests.support.gate_rows import Row, made_id, ndjson, request, session
from tests.support.landing_zone import Zone, counts

CHANGE = 17  # 017_intake_keys.sql takes the keys of the rows, 018_intake_contract.sql adds columns
NOT_SAID: Row = {"charged": None, "charged_currency": None}


def numbered(*, is_before: bool) -> list[SqlFile]:
    files = [file for file in sql_files() if not file.is_views]
    return [file for file in files if (file.version < CHANGE) == is_before]


def test_rows_of_before_charges_were_known_are_duplicates_when_they_come_again(
    empty_warehouse: Warehouse, zone: Zone
) -> None:
    warehouse = empty_warehouse
    for file in numbered(is_before=True):
        warehouse.client.command(file.text)
    requests = [request(n, **NOT_SAID, method="POST") for n in range(3)]
    sessions = [session(n, report, **NOT_SAID) for n in range(3) for report in ("don", "doff")]
    written = {"api_requests": requests, "masque_sessions": sessions}
    for name, rows in written.items():
        kinds = {
            str(row[0]): str(row[1]).replace("'", "\\'")
            for row in warehouse.rows(f"DESCRIBE TABLE {TABLES[name].target}")
            if row[0] in rows[0] or row[0] == "doffed_at"
        }
        structure = ", ".join(f"{column} {kind}" for column, kind in kinds.items())
        lines = ndjson({key: row.get(key) for key in kinds} for row in rows).decode()
        warehouse.client.command(
            f"INSERT INTO {TABLES[name].target} ({', '.join(kinds)}, channel) SELECT *, 'landing' "
            f"FROM format(JSONEachRow, '{structure}', $rows${lines}$rows$) "
            "SETTINGS date_time_input_format = 'best_effort'"
        )
    before = {
        name: warehouse.rows(f"SELECT * FROM {TABLES[name].target} ORDER BY ALL")
        for name in written
    }
    for file in [*numbered(is_before=False), *(file for file in sql_files() if file.is_views)]:
        warehouse.client.command(file.text)

    for name, rows in written.items():
        held = warehouse.rows(f"SELECT * FROM {TABLES[name].target} ORDER BY ALL")
        assert held == [(*row, None, "") for row in before[name]]
        said = {"charged": "1", "charged_currency": "USD"}
        zone.drop(f"{name}/again.ndjson", ndjson([*rows, {**rows[1], **said}]))
        found = counts(zone.load(warehouse, name))
        assert found == {
            "rows_read": len(rows) + 1,
            "duplicates": len(rows),
            "quarantined": 1,
            "conflicts": 1,
        }
    zone.drop("payment_links/a.ndjson", ndjson([{"transaction_id": made_id(1, 7)}]))
    assert counts(zone.load(warehouse, "payment_links")) == {"rows_read": 1, "quarantined": 1}
