"""The notebook for analysts runs as it stands, and what it computes is exact."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from masques_pipelines.ledger.capture.source import CaptureSource
from masques_pipelines.ledger.chart import read_chart
from masques_pipelines.ledger.transactions import sync_transactions
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from tests.support.paths import ROOT

NOTEBOOK = ROOT / "docs" / "notebooks" / "dataframes.ipynb"


def cells(kind: str) -> list[dict[str, Any]]:
    notebook: dict[str, Any] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def run_all_cells() -> dict[str, Any]:
    """Runs the cells in order, as a kernel does, and returns their variables."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells("code"):
        exec(compile("".join(cell["source"]), cell["id"], "exec"), namespace)
    return namespace


def test_the_notebook_is_exact(
    warehouse: Warehouse,
    engine_settings: Settings,
    small_capture: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with CaptureSource(small_capture) as source:
        sync_transactions(warehouse, source, read_chart(None))
    folder = engine_settings.home / "warehouse"
    monkeypatch.setenv("MASQUES_HOME", str(engine_settings.home))
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", f"chdb://{folder}")

    ran = run_all_cells()

    assert ran["rounded"] == Decimal("199999999999999999999999998.0")
    assert ran["exact"] == Decimal("199999999999999999999999998.000000000000000002")
    held = warehouse.rows(
        "SELECT currency, sum(amount) FROM masques.transactions "
        "WHERE event_type = 'two_phase_pending' GROUP BY currency"
    )
    assert ran["by_currency"].to_dict() == dict(held)
    smallest_gap = warehouse.scalar(
        "SELECT min(gap) FROM (SELECT ns - lagInFrame(ns) OVER (ORDER BY ns "
        "ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS gap FROM (SELECT "
        "toUnixTimestamp64Nano(timestamp) AS ns FROM masques.transactions "
        "WHERE currency = 'USD')) WHERE gap < 1000000000000000000"
    )
    assert ran["smallest_gap_ns"] == smallest_gap
    assert ran["states"]["holds"].sum() == len(ran["holds"])


def test_the_notebook_is_kept_without_results() -> None:
    assert [(cell["outputs"], cell["execution_count"]) for cell in cells("code")] == [
        ([], None)
    ] * len(cells("code"))
