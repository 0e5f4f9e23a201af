"""The chart in the warehouse: versions stay, and those of before it said more have its defaults."""

from pathlib import Path

from masques_pipelines.ledger.chart import load_chart, read_chart
from masques_pipelines.ledger.proofs.chart_findings import CHART
from masques_pipelines.ledger.proofs.scope import read_scope
from masques_pipelines.schema.files import sql_files
from masques_pipelines.warehouse.client import Warehouse
from tests.unit.ledger.test_chart import VALID

NAMES_ONLY = VALID.replace("{100: treasury}", "{100: treasury, 200: prepaid}")
CHANGE = 20  # 020_ledger_chart.sql
VERSION = 1_700_000_000_000_000_000


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "chart.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_chart_that_was_loaded_before_it_said_more_has_the_defaults_of_names(
    empty_warehouse: Warehouse, tmp_path: Path
) -> None:
    warehouse = empty_warehouse
    before = [file for file in sql_files() if file.version < CHANGE]
    for file in before:
        warehouse.client.command(file.text)
    warehouse.insert_rows(
        "masques_ops.chart_entries",
        ("version", "kind", "code", "name", "scale"),
        [
            (VERSION, "ledger", 1, "USD", 6),
            (VERSION, "account_code", 100, "treasury", 0),
            (VERSION, "account_code", 200, "prepaid", 0),
            (VERSION, "transfer_code", 1, "deposit", 0),
            (VERSION, "resource_type", 1, "masque", 0),
        ],
    )
    for file in sql_files()[len(before) :]:
        warehouse.client.command(file.text)

    # Attribution knows the treasury before the first sync, and nothing is a new version.
    assert warehouse.rows(
        "SELECT code, is_rail_side FROM masques_ops.chart_account_codes ORDER BY code"
    ) == [(100, 1), (200, 0)]
    assert load_chart(warehouse, read_chart(written(tmp_path, NAMES_ONLY))) == VERSION
    assert load_chart(warehouse, read_chart(None)) > VERSION
    assert warehouse.rows(
        "SELECT ledger, rail_assets FROM masques_ops.chart_ledgers ORDER BY ledger"
    ) == [
        (1, ["USDC"]),
        (2, ["BTC"]),
        (3, ["SOL"]),
    ]


def test_a_verdict_can_be_made_again_under_the_chart_of_its_time(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    saying = "1: {name: deposit, needs: %s, within_s: 600}"
    seen = []
    for needs in ("settlement", "nothing"):
        text = NAMES_ONLY.replace("1: deposit", saying % needs)
        seen.append(load_chart(warehouse, read_chart(written(tmp_path, text))))
    # An insert that was sent twice makes no second entry.
    warehouse.command(
        "INSERT INTO masques_ops.chart_entries SELECT * FROM masques_ops.chart_entries"
    )
    at = (
        "SELECT needs, within_s FROM masques_ops.chart_at(version = {version:UInt64}) "
        "WHERE kind = 'transfer_code'"
    )
    assert [
        warehouse.rows(at, {"version": version}) for version in (*seen, seen[1] - 1, seen[1] + 1)
    ] == [[("settlement", 600)], [("nothing", 600)], [("settlement", 600)], [("nothing", 600)]]
    assert warehouse.rows(at, {"version": seen[0] - 1}) == []
    assert warehouse.rows(
        "SELECT count() FROM masques_ops.chart_at(version = {version:UInt64})",
        {"version": seen[1]},
    ) == [(5,)]


def test_a_transfer_code_without_needs_is_warned_of(warehouse: Warehouse, tmp_path: Path) -> None:
    load_chart(warehouse, read_chart(written(tmp_path, NAMES_ONLY)))
    assert CHART.prove(read_scope(warehouse)).findings == (
        (
            "transfer code 1, deposit: the chart does not say what it needs: write `1: {name: "
            "deposit, needs: …, within_s: …}`, as in the packaged chart.yaml"
        ),
    )
    load_chart(warehouse, read_chart(None))
    assert CHART.prove(read_scope(warehouse)).holds
