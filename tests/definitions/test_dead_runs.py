"""Runs whose process is gone are closed by the next tick; all others are left alone."""

import fcntl
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from masques_pipelines.defs.cadence import BY_JOB
from masques_pipelines.defs.dead_runs import PROCESS_TAG, START_MAX, close_dead_runs, note_process

Status = dg.DagsterRunStatus
STATUSES = (
    Status.NOT_STARTED,
    Status.STARTING,
    Status.STARTED,
    Status.CANCELING,
    Status.SUCCESS,
    Status.FAILURE,
    Status.CANCELED,
)
PROCESSES = ("alive", "gone", "elsewhere", "")
JOBS = ("ledger_sync_job", "another_project")
AGES = (timedelta(seconds=1), START_MAX + timedelta(seconds=1))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def processes(instance: dg.DagsterInstance) -> Iterator[Path]:
    """The folder of the processes' files; that of one that is alive is there."""
    folder = Path(instance.root_directory) / "processes"
    folder.mkdir(parents=True)
    with (folder / "alive").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield folder


def ends_as(status: Status, process: str, job: str, age: timedelta) -> Status:
    """The rule, as a person would say it."""
    if status not in (Status.NOT_STARTED, Status.STARTED, Status.CANCELING):
        return status  # the daemon has it in hand, or it is over
    never_began = process == "" and age > START_MAX and job in BY_JOB
    if process != "gone" and not never_began:
        return status
    return Status.CANCELED if status == Status.CANCELING else Status.FAILURE


def test_only_runs_whose_process_is_gone_are_closed(
    instance: dg.DagsterInstance, processes: Path
) -> None:
    for age in AGES:
        (processes / "gone").touch()
        wanted = {}
        for status, process, job in itertools.product(STATUSES, PROCESSES, JOBS):
            tags = {PROCESS_TAG: process} if process else {}
            run = dg.DagsterRun(job_name=job, status=status, tags=tags)
            instance.run_storage.add_run(run)
            wanted[run.run_id] = ends_as(status, process, job, age)
        closed = close_dead_runs(instance, BY_JOB, datetime.now(UTC) + age)
        runs = {run.run_id: run for run in instance.get_runs()}
        assert {run_id: runs[run_id].status for run_id in wanted} == wanted
        assert closed
        for run_id in closed:
            (event,) = instance.all_logs(run_id)
            assert "the job's next run goes on from there" in event.message
            instance.delete_run(run_id)
    # Nothing names the process that is gone any more.
    assert [path.name for path in processes.iterdir()] == ["alive"]


def test_a_run_carries_its_process_for_as_long_as_that_lives(instance: dg.DagsterInstance) -> None:
    for _ in range(2):
        run = instance.run_storage.add_run(
            dg.DagsterRun(job_name="ledger_sync_job", status=Status.STARTED)
        )
        note_process(instance, run.run_id)
        noted = instance.get_run_by_id(run.run_id)
        assert noted is not None
        (file,) = (Path(instance.root_directory) / "processes").iterdir()  # one for all its runs
        assert noted.tags[PROCESS_TAG] == file.name
        assert close_dead_runs(instance, BY_JOB, datetime.now(UTC) + START_MAX * 2) == ()
