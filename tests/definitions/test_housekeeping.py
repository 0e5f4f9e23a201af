"""Old runs go, with their files; what the UI still shows of them stays."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository

from masques_pipelines.defs.housekeeping import delete_runs, prune_log, runs_to_keep
from tests.support.code_location import defs
from tests.support.paths import ROOT

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=1)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


def test_old_runs_go_but_for_the_newest_of_each_table_check_and_failure(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    is_bad = False

    @dg.asset
    def table() -> None:
        if is_bad:
            raise dg.Failure(description="bad", allow_retries=False)

    @dg.asset_check(asset=table)
    def check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    location = dg.Definitions(assets=[table], asset_checks=[check])
    job = location.resolve_implicit_global_asset_job_def()

    def run() -> str:
        return job.execute_in_process(instance=instance, raise_on_error=False).run_id

    old = [run()]
    checked = run()
    is_bad = True
    failed = [run(), run()]
    is_bad = False
    unfinished = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED).run_id
    kept = runs_to_keep(instance, [table.key], [check.check_key], failures=1)
    assert {checked, failed[1]} <= kept
    assert delete_runs(instance, NOW - timedelta(days=1), kept) == 0
    assert delete_runs(instance, LATER, kept) == len(old) + 1
    left = {each.run_id for each in instance.get_runs()}
    assert left == kept | {unfinished}
    files = {file.name.split(".")[0] for file in tmp_path.rglob("*.db*")}
    assert not files & {*old, failed[0]}
    assert kept <= files
    newest = instance.get_latest_materialization_event(table.key)
    assert newest is not None


def test_a_page_of_runs_that_stay_does_not_end_it(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("masques_pipelines.defs.housekeeping._PAGE", 2)
    job = defs.resolve_job_def("housekeeping_job")
    made = [
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.SUCCESS).run_id
        for _ in range(7)
    ]
    kept = {made[-1], made[-2], made[3]}
    assert delete_runs(instance, LATER, kept) == 4
    assert {each.run_id for each in instance.get_runs()} == kept


def test_the_job_runs_with_what_it_is_told(instance: dg.DagsterInstance) -> None:
    location = ReconstructableRepository.for_module(
        "masques_pipelines.definitions", "defs", working_directory=str(ROOT)
    )
    config = {"ops": {"prune_history": {"config": {"keep_days": 1, "keep_failures": 0}}}}
    job = location.get_reconstructable_job("housekeeping_job")
    with dg.execute_job(job, instance=instance, run_config=config) as result:
        assert result.success


def test_the_log_of_alerts_is_cut(tmp_path: Path) -> None:
    log = tmp_path / "alerts.ndjson"
    assert prune_log(log, NOW) == 0
    lines = [f'{{"at": "{NOW - timedelta(days=age):%Y-%m-%dT%H:%M:%S}+00:00"}}\n' for age in (9, 1)]
    log.write_text("".join(lines))
    assert prune_log(log, NOW - timedelta(days=5)) == 1
    assert log.read_text() == lines[1]
