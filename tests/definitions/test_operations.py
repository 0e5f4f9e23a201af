"""Operators' jobs do what their commands do, and who did it and why is kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from masques_pipelines import quarantine
from masques_pipelines.defs.operations import JOBS, MONTHS
from masques_pipelines.ledger.capture.source import CaptureSource
from masques_pipelines.ledger.chart import read_chart
from masques_pipelines.ledger.transactions import sync_transactions
from masques_pipelines.quarantine import Entry, Selection
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from tests.support.code_location import defs

Run = Callable[..., str]
TOLD = {"by": "ada", "why": "ticket 7"}


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch,
    warehouse: Warehouse,
    engine_settings: Settings,
    small_capture: Path,
    instance: dg.DagsterInstance,
    tmp_path: Path,
) -> Run:
    """Runs a job; returns why it failed, or ''."""
    del warehouse
    (tmp_path / "landing").mkdir()
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path))
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    monkeypatch.setenv("MASQUES_LEDGER_URL", f"capture://{small_capture}")

    def execute(job: str, partition: str | None = None, **config: Any) -> str:
        op = next(iter(defs.resolve_job_def(job).graph.node_defs)).name
        done = defs.resolve_job_def(job).execute_in_process(
            instance=instance,
            raise_on_error=False,
            partition_key=partition,
            run_config={"ops": {op: {"config": config}}} if config else None,
        )
        failed = [event for event in done.all_node_events if event.is_step_failure]
        said = failed[0].step_failure_data.user_failure_data if failed else None
        assert said is not None or not failed
        return str(said.description) if said else ""

    return execute


def log_of(warehouse: Warehouse) -> list[tuple[str, str, str, str]]:
    rows = warehouse.rows(
        "SELECT action, subject, done_by, reason FROM masques_ops.operator_log ORDER BY done_at"
    )
    return [tuple(map(str, row)) for row in rows]  # type: ignore[misc]


def test_a_month_is_proved_and_rebuilt_by_its_partition(
    run: Run, warehouse: Warehouse, small_capture: Path
) -> None:
    with CaptureSource(small_capture) as source:
        sync_transactions(warehouse, source, read_chart(None))
    found = "SELECT formatDateTime(max(timestamp), '%Y-%m'), count() FROM masques.transactions"
    month, rows = warehouse.row(found)
    assert run("verify_month_job", month) == ""
    warehouse.command(
        "INSERT INTO masques.transactions SELECT * REPLACE (generateUUIDv4() AS transaction_id) "
        "FROM masques.transactions ORDER BY toYYYYMM(timestamp) DESC, timestamp LIMIT 1"
    )
    assert run("verify_month_job", month).startswith(f"{month} is not proved: ")
    assert run("rebuild_month_job", month, **TOLD) == ""
    assert run("verify_month_job", month) == ""
    assert warehouse.row(found) == (month, rows)
    assert log_of(warehouse) == [("rebuild month", month, "ada", "ticket 7")]
    assert "2024-01: there is nothing of it" in run("rebuild_month_job", "2024-01")
    assert MONTHS.get_first_partition_key() == "2024-01"


def test_entries_of_quarantine_are_discarded_with_who_and_why(
    run: Run, warehouse: Warehouse
) -> None:
    quarantine.put(warehouse, "api_requests", [Entry("a/b", 3, "bad_uuid:request_id", b"{}")])
    assert "table: 'x' is none of" in run("discard_quarantine_job", table="x", **TOLD)
    assert run("replay_quarantine_job", table="api_requests", **TOLD) == ""
    assert quarantine.count(warehouse, Selection("api_requests")) == 1
    assert run("discard_quarantine_job", table="api_requests", reason="missing", **TOLD) == ""
    assert quarantine.count(warehouse, Selection("api_requests")) == 0
    assert log_of(warehouse) == [
        ("replay quarantine", "api_requests", "ada", "ticket 7"),
        ("discard quarantine", "api_requests, missing", "ada", "ticket 7"),
    ]


def test_what_commands_do_jobs_do(run: Run, warehouse: Warehouse, tmp_path: Path) -> None:
    assert "base: it was never read on" in run("rewind_rail_job", rail="base", position=1, **TOLD)
    assert "moon" in run("rewind_rail_job", rail="moon", position=1, **TOLD)
    assert run("reload_table_job", table="api_requests", **TOLD) == ""
    assert run("recompute_scores_job", **TOLD) == ""
    assert [each[0] for each in log_of(warehouse)] == ["reload table", "recompute scores"]


def test_a_backup_is_a_new_folder_and_never_overwritten(
    run: Run, warehouse: Warehouse, tmp_path: Path
) -> None:
    place = tmp_path / "backup"
    assert run("back_up_job", to=str(place), **TOLD) == ""
    assert any(path.is_file() for path in place.rglob("*"))
    assert str(place) in run("back_up_job", to=str(place), **TOLD)
    assert [each[:3] for each in log_of(warehouse)] == [("back up", str(place), "ada")]


def test_every_field_is_described() -> None:
    for job in JOBS:
        assert job.description
        for op in job.graph.node_defs:
            kind = op.config_schema.as_field().config_type
            fields = getattr(kind, "fields", {})
            assert all(each.description for each in fields.values()), job.name
            assert fields or job.name == "verify_month_job"
