"""A run of the terminal goes through the queue of a daemon that is alive, and is followed there."""

import contextlib
import time
from collections.abc import Callable

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent
from dagster._core.execution.plan.objects import ErrorSource, StepFailureData, UserFailureData
from dagster._daemon.types import DaemonHeartbeat

from masques_pipelines.defs.queued_runs import Asked, handed_over, submit
from tests.support.code_location import defs

JOB = ("job", "execute", "-j", "housekeeping_job")
ASSETS = ("asset", "materialize", "--select", "masques/accounts")
REASON = "http://db:8123: cannot connect: is it up?"
World = Callable[[dg.DagsterRun], None]


@pytest.fixture
def alive(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> dg.DagsterInstance:
    """An instance whose daemon looks into the queue."""
    monkeypatch.setattr(dg.DagsterInstance, "get", lambda: contextlib.nullcontext(instance))
    beat(instance, 0)
    return instance


def beat(instance: dg.DagsterInstance, ago_s: float) -> None:
    instance.add_daemon_heartbeat(
        DaemonHeartbeat(time.time() - ago_s, "QUEUED_RUN_COORDINATOR", "1", [])
    )


def ran(instance: dg.DagsterInstance, world: World, *arguments: str) -> int | None:
    """Hands a run over to a daemon that does this to it."""

    def sleep(_seconds: float) -> None:
        run, *_ = instance.get_runs()
        world(run)

    return handed_over(arguments or JOB, sleep=sleep)


def report(instance: dg.DagsterInstance, run: dg.DagsterRun, kind: str) -> None:
    instance.report_dagster_event(DagsterEvent(kind, run.job_name), run.run_id)


def test_without_a_daemon_or_with_other_options_it_runs_here(
    alive: dg.DagsterInstance,
) -> None:
    for arguments in (
        ("job", "list"),
        ("job", "execute"),
        ("job", "execute", "-j", "no_such_job"),
        (*JOB, "--op-selection", "a"),
        (*JOB, "--help"),
        (*JOB, "--config-json", "{"),
        (*JOB, "--config-json", '{"ops": {"prune": {"config": {"oops": 1}}}}'),
    ):
        assert handed_over(arguments) is None
    beat(alive, 600)
    assert handed_over(JOB) is None
    assert alive.get_runs() == []


@pytest.mark.parametrize("arguments", [JOB, ASSETS])
def test_a_run_is_queued_as_the_ui_would_and_followed_to_its_end(
    alive: dg.DagsterInstance, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    seen: list[dg.DagsterRun] = []

    def world(run: dg.DagsterRun) -> None:
        seen.append(run)
        report(alive, run, "PIPELINE_SUCCESS")

    assert ran(alive, world, *arguments) == 0
    (run,) = seen
    assert run.status == dg.DagsterRunStatus.QUEUED
    assert run.tags["dagster/code_location"] == "masques_pipelines"
    assert run.remote_job_origin is not None
    wanted = {dg.AssetKey(["masques", "accounts"])} if arguments is ASSETS else None
    assert run.asset_selection == wanted
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"run {run.run_id}: handed to the daemon's queue; Ctrl-C terminates it"
    assert lines[-1] == f"{run.job_name} succeeded"


def test_a_run_that_waits_says_for_what(
    alive: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    running = alive.create_run_for_job(defs.resolve_job_def("ledger_sync_job"))
    report(alive, running, "PIPELINE_START")
    assert submit(alive, Asked(job="intake_job"))
    turns = iter(("PIPELINE_START", "PIPELINE_SUCCESS"))

    def world(run: dg.DagsterRun) -> None:
        report(alive, run, next(turns))

    assert ran(alive, world) == 0
    lines = capsys.readouterr().out.splitlines()
    said = f"waits for ledger_sync_job (run {running.run_id}), 1 before it in the queue"
    waits = [line for line in lines if "waits for" in line]
    assert waits == [f"run {alive.get_runs()[0].run_id}: {said}"]


def test_the_last_line_of_a_failed_run_says_where_and_why(
    alive: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    def world(run: dg.DagsterRun) -> None:
        said = UserFailureData("", REASON, {})  # type: ignore[no-untyped-call]
        data = StepFailureData(None, said, ErrorSource.USER_CODE_ERROR)  # type: ignore[no-untyped-call]
        step = DagsterEvent(
            "STEP_FAILURE", run.job_name, step_key="prune", event_specific_data=data
        )
        alive.report_dagster_event(step, run.run_id)
        alive.report_run_failed(run)

    assert ran(alive, world) == 1
    assert capsys.readouterr().out.splitlines()[-1] == f"housekeeping_job failed: prune: {REASON}"


def test_ctrl_c_terminates_the_run(
    alive: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    def world(_run: dg.DagsterRun) -> None:
        raise KeyboardInterrupt

    assert ran(alive, world) == 130
    (run,) = alive.get_runs()
    assert run.status == dg.DagsterRunStatus.CANCELED
    assert f"run {run.run_id}: terminating it" in capsys.readouterr().out


def test_a_daemon_that_dies_leaves_no_run_in_the_queue(alive: dg.DagsterInstance) -> None:
    assert ran(alive, lambda _run: beat(alive, 600)) is None
    (run,) = alive.get_runs()
    assert run.status == dg.DagsterRunStatus.CANCELED
