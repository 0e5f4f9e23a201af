"""The sensor, the schedule, the job and the checks of the intake, through Dagster."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from masques_pipelines.defs.sensors import BATCH_FILES, intake_sensor
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.settings import Settings
from tests.support.code_location import defs
from tests.support.gate_rows import GOOD, ndjson, request


@pytest.fixture
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The landing zone of the settings, with settled files."""
    monkeypatch.setenv("MASQUES_LANDING_URL", str(tmp_path))
    return tmp_path


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def drop(folder: Path, path: str, data: bytes, *, age_s: float = 60) -> None:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    moment_s = time.time() - age_s
    os.utime(file, (moment_s, moment_s))


def tick(
    instance: dg.DagsterInstance, cursor: str | None
) -> tuple[list[dg.RunRequest], str | None, str]:
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, repository_def=defs.get_repository_def()
    )
    data = intake_sensor.evaluate_tick(context)
    return list(data.run_requests or ()), data.cursor, data.skip_message or ""


def test_the_sensor_asks_once_for_files_that_settled(
    landing: Path, instance: dg.DagsterInstance
) -> None:
    requests, cursor, why = tick(instance, None)
    assert (requests, why) == ([], f"no new file among 0 in {landing}")

    drop(landing, "api_requests/a.ndjson", b"{}")
    drop(landing, "api_requests/young.ndjson", b"{}", age_s=0)  # may still grow
    drop(landing, "api_requests/b.ndjson.tmp", b"{}")
    drop(landing, "api_requests/c.ndjson.part", b"{}")
    drop(landing, "api_requests/_d.ndjson", b"{}")
    drop(landing, "api_requests/notes.txt", b"{}")
    drop(landing, "exchange_rates/a.ndjson", b"{}")  # not the intake's
    requests, cursor, _ = tick(instance, cursor)
    assert [found.tags["intake/new_files"] for found in requests] == ["1"]
    first_key = requests[0].run_key

    # The cursor survives; an older file that comes late is new all the same.
    assert tick(instance, cursor)[0] == []
    drop(landing, "identities/old.csv", b"a\n1\n", age_s=10**6)
    requests, cursor, _ = tick(instance, cursor)
    assert [found.tags["intake/new_files"] for found in requests] == ["1"]
    assert requests[0].run_key != first_key
    assert cursor is not None
    assert len(json.loads(cursor)) == 2

    # What is removed is forgotten.
    (landing / "identities/old.csv").unlink()
    drop(landing, "api_requests/e.ndjson", b"{}")
    _, cursor, _ = tick(instance, cursor)
    assert cursor is not None
    assert len(json.loads(cursor)) == 2


def test_the_sensor_asks_in_bounded_batches(landing: Path, instance: dg.DagsterInstance) -> None:
    for number in range(BATCH_FILES + 3):
        drop(landing, f"api_requests/{number}.ndjson", b"{}")
    cursor: str | None = None
    asked = []
    for _ in range(3):
        requests, cursor, _why = tick(instance, cursor)
        asked += [found.tags["intake/new_files"] for found in requests]
    assert asked == [str(BATCH_FILES), "3"]


def test_the_job_is_the_root_and_the_tables(instance: dg.DagsterInstance) -> None:
    job = defs.resolve_job_def("intake_job")
    assert {key.to_user_string() for key in job.asset_layer.selected_asset_keys} == {
        "masques_ops/schema_migrations",
        *(table.target.replace(".", "/") for table in TABLES.values()),
    }
    schedule = defs.resolve_schedule_def("intake_schedule")
    assert (schedule.cron_schedule, schedule.job_name) == ("*/15 * * * *", "intake_job")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_a_run_reports_and_its_checks_pass_until_too_much_is_bad(
    landing: Path,
    instance: dg.DagsterInstance,
    engine_settings: Settings,
    warehouse: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    for table, good in GOOD.items():
        drop(landing, f"{table}/a.ndjson", ndjson([good(n) for n in range(40)]))
    drop(landing, "api_requests/b.ndjson", ndjson([request(1), "nonsense"]))
    job = defs.resolve_job_def("intake_job")
    run = job.execute_in_process(instance=instance)
    evaluations = run.get_asset_check_evaluations()
    # Three of each table, its rows, that of the landing zone, and three of the schema.
    assert len(evaluations) == 4 * len(TABLES) + 4
    assert [found.check_name for found in evaluations if not found.passed] == []
    made = run.asset_materializations_for_node("masques__api_requests")[0].metadata
    values = {
        name: made[name].value
        for name in ("files", "rows_read", "rows_written", "duplicates", "quarantined")
    }
    assert values == {
        "files": 2,
        "rows_read": 42,
        "rows_written": 40,
        "duplicates": 1,
        "quarantined": 1,
    }
    assert [record.data for record in made["top_reasons"].value.records] == [  # type: ignore[union-attr]
        {"reason": "invalid_json", "rows": 1}
    ]
    assert len(made["preview"].value.records) == 5  # type: ignore[union-attr]

    drop(landing, "api_requests/c.ndjson", ndjson(["bad"] * 4))
    again = job.execute_in_process(instance=instance)
    failed = [found for found in again.get_asset_check_evaluations() if not found.passed]
    assert [found.check_name for found in failed] == ["bad_rows_within_limit"]
    assert failed[0].metadata["bad_rows"].value == 5

    # What is not read fails nothing, and is warned of and counted.
    drop(landing, "api_requests/day.json", b"{}")
    drop(landing, "api_request/a.ndjson", b"{}")
    (landing / "api_requests" / "out.ndjson").symlink_to("/etc/passwd")
    warned = job.execute_in_process(instance=instance)
    (found,) = [
        each
        for each in warned.get_asset_check_evaluations()
        if each.check_name == "nothing_passed_over"
    ]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.metadata["files"].value == 3
    made = warned.asset_materializations_for_node("masques__api_requests")[0].metadata
    assert made["files_passed_over"].value == 2

    # A landing zone that is missing is a failed run.
    shutil.rmtree(landing)
    assert not job.execute_in_process(instance=instance, raise_on_error=False).success
