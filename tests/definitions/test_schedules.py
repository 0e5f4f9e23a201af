"""Schedules: they ask for a run, and not for a second one while the first is unfinished."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from masques_pipelines.defs.cadence import LEDGER_SYNC
from masques_pipelines.defs.dead_runs import PROCESS_TAG
from tests.support.code_location import defs


def now() -> datetime:
    """Read by each test: the runs of a test are as old as the test, not as the session."""
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def tick(instance: dg.DagsterInstance, at: datetime) -> object:
    """Returns what the ledger sync schedule answers at that time."""
    schedule = defs.resolve_schedule_def("ledger_sync_schedule")
    context = dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=at,
        repository_def=defs.get_repository_def(),
    )
    return schedule.evaluate_tick(context)


def test_a_tick_asks_for_a_run(instance: dg.DagsterInstance) -> None:
    at = now()
    answer = tick(instance, at)
    (request,) = answer.run_requests  # type: ignore[attr-defined]  # Dagster's tick data
    assert request.run_key == at.isoformat()


def unfinished_run(instance: dg.DagsterInstance, process: str | None = None) -> None:
    instance.create_run_for_job(
        defs.resolve_job_def("ledger_sync_job"),
        status=dg.DagsterRunStatus.STARTED,
        tags={PROCESS_TAG: process} if process else {},
    )


def test_a_tick_is_skipped_while_the_last_run_is_unfinished(instance: dg.DagsterInstance) -> None:
    unfinished_run(instance)
    answer = tick(instance, now())
    assert answer.run_requests == []  # type: ignore[attr-defined]  # Dagster's tick data
    assert "is not finished yet" in answer.skip_message  # type: ignore[attr-defined]  # the same


def test_a_run_that_died_long_ago_does_not_stop_the_schedule(
    instance: dg.DagsterInstance,
) -> None:
    # Of another machine: no file here tells of its process.
    unfinished_run(instance, process="elsewhere-7-1")
    answer = tick(instance, now() + LEDGER_SYNC.run_max + timedelta(minutes=5))
    assert len(answer.run_requests) == 1  # type: ignore[attr-defined]  # Dagster's tick data
