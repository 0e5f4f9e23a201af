"""The ledger sync job, run by Dagster in this process on a capture of a real server."""

from pathlib import Path

import dagster as dg
import pytest

from masques_pipelines.defs.resources import MODE_TAG
from masques_pipelines.defs.table_asset import SCHEMA_MIGRATIONS
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from tests.support.code_location import defs


@pytest.fixture
def environment(
    monkeypatch: pytest.MonkeyPatch,
    warehouse: Warehouse,
    engine_settings: Settings,
    small_capture: Path,
    tmp_path: Path,
) -> Path:
    """The test process's warehouse, emptied, as the copy of a capture; returns its home."""
    del warehouse
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path))
    monkeypatch.setenv("MASQUES_LEDGER_URL", f"capture://{small_capture}")
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    return tmp_path


def run(**tags: str) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def("ledger_sync_job").execute_in_process(
        tags=tags, raise_on_error=False
    )


def metadata(result: dg.ExecuteInProcessResult, table: str) -> dict[str, object]:
    (event,) = (
        event
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(["masques", table])
    )
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_the_job_reports_what_it_did(environment: Path, warehouse: Warehouse) -> None:
    result = run()
    assert result.success
    found = metadata(result, "transactions")

    assert (found["rows_written"], found["dagster/row_count"]) == (2120, 2120)
    assert found["pages"] == 2  # one of 2,120 events and the empty one
    assert str(found["watermark"]).endswith(" UTC")
    assert float(str(found["lag_s"])) > 0
    assert float(str(found["rows_per_s"])) > 0
    assert metadata(result, "accounts")["rows_written"] == 122
    # The events reach past the balances' ledger time.
    assert warehouse.scalar(
        "SELECT max(timestamp) >= (SELECT max(snapshot_at) FROM masques.accounts) "
        "FROM masques.transactions"
    )


def test_a_second_run_writes_no_row(environment: Path) -> None:
    run()
    again = run()
    assert again.success
    assert metadata(again, "transactions")["rows_written"] == 0
    assert metadata(again, "accounts")["rows_written"] == 0


def test_a_failure_is_one_line_and_not_retried_when_that_cannot_help(
    environment: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MASQUES_LEDGER_URL", f"capture://{tmp_path}/nothing")
    result = run()

    assert not result.success
    failures = [event for event in result.all_node_events if event.is_step_failure]
    assert [event.step_key for event in failures] == ["masques__accounts"]
    failure = failures[0].step_failure_data.user_failure_data
    assert failure is not None
    assert failure.description is not None
    assert f"{tmp_path}/nothing: there is no such folder" in failure.description
    assert "\n" not in failure.description
    assert not [event for event in result.all_node_events if event.is_step_up_for_retry]


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}


def test_the_job_proves_what_it_did_and_a_table_can_be_made_alone(
    environment: Path, warehouse: Warehouse
) -> None:
    every = checks(run())
    assert len(every) == 13
    assert all(every.values())

    implicit = defs.resolve_implicit_global_asset_job_def()
    alone = implicit.execute_in_process(asset_selection=[dg.AssetKey(["masques", "accounts"])])
    assert checks(alone) == {"balance_proof": True, "last_reading": True}

    warehouse.command(
        "ALTER TABLE masques.accounts UPDATE debits_posted = debits_posted + 1 WHERE code = 100",
        mutations_sync=2,
    )
    alone = implicit.execute_in_process(
        asset_selection=[dg.AssetKey(["masques", "transactions"])], raise_on_error=False
    )
    found = checks(alone)
    assert not found["trial_balance"]
    assert not alone.success  # it blocks what would come after


def test_each_run_says_that_it_is_the_sandboxs(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASQUES_LEDGER_URL", "")
    monkeypatch.setenv("MASQUES_SANDBOX", "1")
    mode = f"this is the sandbox, as the settings ask: demo data in {environment}/sandbox"
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=[SCHEMA_MIGRATIONS], instance=instance
        )
        run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags[MODE_TAG] == mode
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["mode"].value == mode


def test_production_without_a_ledger_fails_with_what_to_set(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASQUES_LEDGER_URL", "")
    result = run()
    failures = [event for event in result.all_node_events if event.is_step_failure]
    assert failures[0].step_key == "masques__accounts"
    failure = failures[0].step_failure_data.user_failure_data
    assert failure is not None
    assert str(failure.description).startswith("MASQUES_LEDGER_URL: it is not set, so there is no")
