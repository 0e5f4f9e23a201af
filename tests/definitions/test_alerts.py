"""One cause is one fault, and it is gone when its cause is: by what Dagster knows of runs."""

import errno
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo

from masques_pipelines.alerts.book import KeptBook, read_book
from masques_pipelines.alerts.fault import Fault
from masques_pipelines.alerts.look import look
from masques_pipelines.alerts.outbox import Waiting
from masques_pipelines.alerts.rules import read_rules
from masques_pipelines.alerts.runbook import runbook
from masques_pipelines.defs.alerts import alerts_sensor
from masques_pipelines.defs.faults import SKIPS_MAX, Watched, find_faults, unremembered, watched
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from tests.support.code_location import defs

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
TABLE = dg.AssetKey("table")
ORIGIN = RemoteInstigatorOrigin(
    RemoteRepositoryOrigin(
        InProcessCodeLocationOrigin(
            LoadableTargetOrigin(module_name="masques_pipelines.definitions"),
            location_name="masques_pipelines",
        ),
        "__repository__",
    ),
    "ledger",
)


class Pipeline:
    """Two jobs that fill one table, and a check: each fails when it is told to."""

    def __init__(self) -> None:
        self.problem = ""
        self.is_red = False
        self.severity = dg.AssetCheckSeverity.ERROR
        self.fails_with_check = False

        @dg.asset(key=TABLE)
        def table() -> None:
            if self.problem:
                raise dg.Failure(description=self.problem, allow_retries=False)

        @dg.asset_check(asset=TABLE, name="freshness")
        def freshness() -> Any:
            yield dg.AssetCheckResult(
                passed=not self.is_red, severity=self.severity, description="it is red"
            )
            if self.is_red and self.fails_with_check:
                raise dg.Failure(description="red", allow_retries=False)

        jobs = [dg.define_asset_job(name, selection="*") for name in ("one_job", "two_job")]
        self.location = dg.Definitions(assets=[table], asset_checks=[freshness], jobs=jobs)
        self.watched: Watched = watched(self.location.get_repository_def())

    def run(self, instance: dg.DagsterInstance, *jobs: str) -> None:
        for job in jobs or ("one_job",):
            self.location.resolve_job_def(job).execute_in_process(
                instance=instance, raise_on_error=False
            )

    def ids(self, instance: dg.DagsterInstance) -> list[str]:
        found = find_faults(instance, self.watched, datetime.now(UTC))
        assert all(each.entry in runbook() for each in found)
        return [each.id.split(" ", 1)[0] + " " + each.title for each in found]


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline()


def test_jobs_that_fail_for_one_reason_are_one_fault(
    pipeline: Pipeline, instance: dg.DagsterInstance
) -> None:
    assert pipeline.ids(instance) == []
    for problem in ("http://db:8123: cannot connect after 3 attempts", "after 4 attempts"):
        pipeline.problem = problem
        pipeline.run(instance, "one_job", "two_job")
        assert pipeline.ids(instance) == ["run one_job, two_job failed"]
    pipeline.problem = "another reason"
    pipeline.run(instance, "two_job")
    assert pipeline.ids(instance) == ["run one_job failed", "run two_job failed"]
    pipeline.problem = ""
    pipeline.run(instance, "one_job")
    assert pipeline.ids(instance) == ["run two_job failed"]
    pipeline.run(instance, "two_job")
    assert pipeline.ids(instance) == []


def test_the_id_of_a_reason_does_not_depend_on_its_numbers(
    pipeline: Pipeline, instance: dg.DagsterInstance
) -> None:
    ids = set()
    for count in (1, 27):
        pipeline.problem = f"no answer after {count} s"
        pipeline.run(instance)
        (found,) = find_faults(instance, pipeline.watched, NOW)
        assert found.detail == pipeline.problem
        ids.add(found.id)
    assert len(ids) == 1


@pytest.mark.parametrize("fails_with_check", [False, True])
def test_a_red_check_is_one_fault_whether_or_not_its_run_fails(
    pipeline: Pipeline, instance: dg.DagsterInstance, *, fails_with_check: bool
) -> None:
    pipeline.is_red, pipeline.fails_with_check = True, fails_with_check
    pipeline.run(instance)
    (found,) = find_faults(instance, pipeline.watched, NOW)
    assert (found.id, found.severity) == ("check table freshness", "error")
    assert (found.detail, found.entry) == ("it is red", "freshness")
    pipeline.severity = dg.AssetCheckSeverity.WARN
    pipeline.run(instance)
    (found,) = find_faults(instance, pipeline.watched, NOW)
    assert found.severity == "warning"
    pipeline.is_red = False
    pipeline.run(instance)
    assert pipeline.ids(instance) == []


def test_a_check_stays_red_while_a_run_works_and_when_one_does_not_come_to_it(
    pipeline: Pipeline, instance: dg.DagsterInstance
) -> None:
    pipeline.is_red = True
    pipeline.run(instance)
    red = ["check freshness of table is red"]
    job = pipeline.location.resolve_job_def("one_job")
    working = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert pipeline.ids(instance) == red
    instance.report_run_canceled(working)
    assert pipeline.ids(instance) == red
    pipeline.problem = "down"
    pipeline.run(instance)
    assert pipeline.ids(instance) == ["run one_job failed", *red]
    pipeline.problem, pipeline.is_red = "", False
    pipeline.run(instance)
    assert pipeline.ids(instance) == []


def report_stale(instance: dg.DagsterInstance, state: FreshnessState) -> None:
    instance._report_runless_asset_event(  # noqa: SLF001 - as Dagster's freshness daemon does
        FreshnessStateChange(
            key=TABLE,
            previous_state=FreshnessState.UNKNOWN,
            new_state=state,
            state_change_timestamp=NOW.timestamp(),
        )
    )


def test_a_stale_table_is_a_fault_unless_its_job_is_at_fault(
    pipeline: Pipeline, instance: dg.DagsterInstance
) -> None:
    report_stale(instance, FreshnessState.FAIL)
    assert pipeline.ids(instance) == ["stale table is stale"]
    pipeline.problem = "down"
    pipeline.run(instance)
    assert pipeline.ids(instance) == ["run one_job failed"]
    pipeline.problem = ""
    pipeline.run(instance)
    report_stale(instance, FreshnessState.PASS)
    assert pipeline.ids(instance) == []


def tick(instance: dg.DagsterInstance, status: TickStatus, at: int, said: str = "") -> None:
    more: dict[str, Any] = {"run_ids": [], "run_keys": [], "origin_run_ids": []}
    if status == TickStatus.FAILURE:
        more["error"] = SerializableErrorInfo(said, [], None)
    if status == TickStatus.SKIPPED:
        more["skip_reason"] = said
    data = TickData(
        ORIGIN.get_id(),
        ORIGIN.instigator_name,
        InstigatorType.SCHEDULE,
        status,
        float(at),
        selector_id=ORIGIN.get_selector().get_id(),
        **more,
    )
    instance.create_tick(data)


def test_ticks_that_fail_or_only_skip_are_a_fault(
    pipeline: Pipeline, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = InstigatorState(
        origin=ORIGIN,
        instigator_type=InstigatorType.SCHEDULE,
        status=InstigatorStatus.RUNNING,
        instigator_data=ScheduleInstigatorData("* * * * *", None),
    )
    monkeypatch.setattr(type(instance), "all_instigator_state", lambda _self: [state])
    for at in range(SKIPS_MAX):
        assert pipeline.ids(instance) == []
        tick(instance, TickStatus.SKIPPED, at, "run 7 is not finished yet")
    (found,) = find_faults(instance, pipeline.watched, NOW)
    assert (found.id, found.severity) == ("skips ledger", "warning")
    assert found.detail == "run 7 is not finished yet"
    tick(instance, TickStatus.FAILURE, 10, "MASQUES_OOPS: there is no such setting")
    (found,) = find_faults(instance, pipeline.watched, NOW)
    assert (found.id, found.severity) == ("tick ledger", "error")
    assert found.detail == "MASQUES_OOPS: there is no such setting"
    tick(instance, TickStatus.SUCCESS, 11)
    assert pipeline.ids(instance) == []


def test_a_part_of_the_daemon_that_is_silent_is_a_fault(
    pipeline: Pipeline, instance: dg.DagsterInstance
) -> None:
    then = NOW - timedelta(minutes=9)
    instance.add_daemon_heartbeat(DaemonHeartbeat(then.timestamp(), "SCHEDULER", "1", []))
    (found,) = find_faults(instance, pipeline.watched, NOW)
    assert (found.title, found.detail) == ("the daemon's scheduler is not heard of", "for 9 min")
    assert find_faults(instance, pipeline.watched, then) == []


def test_a_disk_that_fills_up_is_told_while_it_can_be(
    pipeline: Pipeline, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for free, told in ((49, ["disk"]), (50, [])):
        used = SimpleNamespace(total=1_000, free=free)
        monkeypatch.setattr("shutil.disk_usage", lambda _folder, used=used: used)
        assert [each.id for each in find_faults(instance, pipeline.watched, NOW)] == told


def test_that_nothing_is_remembered_is_a_fault_that_a_full_disk_explains() -> None:
    disk = Fault("disk", "error", "full", "", "payments", "disk_is_nearly_full", "deployment")
    full, folder = os.strerror(errno.ENOSPC), Path("/home")
    (found,) = unremembered(full, folder, [])
    assert found.detail == "/home/alerts.json cannot be written: No space left on device"
    assert unremembered(full, folder, [disk]) == []
    assert unremembered("Permission denied", folder, [disk]) != []
    assert unremembered("", folder, []) == []


def test_the_sensor_tells_what_it_finds_and_keeps_it(
    warehouse: Warehouse,
    engine_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    instance: dg.DagsterInstance,
    tmp_path: Path,
) -> None:
    """The ledger is down: one fault, told once, gone with the next good run."""
    del warehouse
    received = tmp_path / "received.ndjson"
    rules = tmp_path / "alerts.yaml"
    rules.write_text(f"to: [{{url: 'file://{received}'}}]\n")  # no receiver of apprise's
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path))
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    monkeypatch.setenv("MASQUES_LEDGER_URL", "capture:///nowhere")
    monkeypatch.setenv("MASQUES_ALERTS_FILE", str(rules))
    job = defs.resolve_job_def("ledger_sync_job")
    job.execute_in_process(instance=instance, raise_on_error=False)
    context = dg.build_sensor_context(instance=instance, repository_def=defs.get_repository_def())
    with context:
        skip = alerts_sensor(context)
    assert isinstance(skip, dg.SkipReason)
    assert skip.skip_message == "1 faults are open, 1 messages wait for their receivers"
    ((_, known),) = read_book(tmp_path).open.items()
    assert known.fault.title == "ledger_sync_job failed"
    assert known.fault.detail.startswith("/nowhere: there is no such folder")
    log = [json.loads(line) for line in (tmp_path / "alerts.ndjson").read_text().splitlines()]
    assert [line["problem"] for line in log] == ["its URL is none that apprise knows"]
    told: list[str] = []

    def post(_receiver: object, waiting: Waiting) -> str:
        told.append(waiting.message.title)
        return ""

    now = datetime.now(UTC)
    for found in ([known.fault], []):
        look(KeptBook(tmp_path), found, read_rules(rules), post, now + timedelta(minutes=3))
    assert told == ["Masques: ledger_sync_job failed", "Masques: over: ledger_sync_job failed"]


def test_every_check_and_alert_has_an_entry_and_no_entry_is_without() -> None:
    graph = defs.get_repository_def().asset_graph
    names = {key.name for key in graph.asset_check_keys}
    alerts = {
        *("run_failed", "table_is_stale", "ticks_are_skipped", "tick_failed"),
        *("daemon_is_gone", "check_did_not_run", "disk_is_nearly_full"),
        "alerts_are_not_remembered",
    }
    assert set(runbook()) == names | alerts
    for key in graph.asset_check_keys:
        spec = graph.get_check_spec(key)
        place = runbook()[key.name].place
        assert place in str(spec.metadata["runbook"].value)
        assert place in str(spec.description)
