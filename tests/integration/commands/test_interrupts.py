"""Ctrl-C, SIGTERM and Terminate end work before it is done: no retry, no child, a canceled run.

Everything waits for events; nothing here waits for a time. A run that does not end is ended by the
test's own limit.
"""

import contextlib
import fcntl
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget

from masques_pipelines.commands.dagster_home import make_home
from masques_pipelines.defs.dead_runs import START_MAX
from masques_pipelines.settings import VARIABLES, Settings
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.interrupts import EngineCalls
from tests.support.campaign import rounds, seeded
from tests.support.code_location import defs
from tests.support.dagster_home import copy_history
from tests.support.paths import ROOT
from tests.support.patience import run

# Whole runs of Dagster, which a busy machine makes slow.
pytestmark = pytest.mark.timeout(600)

# Far longer than any test waits: a query that ended by itself would be seen.
SLEEPS = "SELECT sum(sleepEachRow(1)) FROM numbers(3600) SETTINGS max_block_size = 1"
TERMINATE = """
mutation($run: String!) { terminateRun(runId: $run) { __typename } }
"""
LAUNCH = """
mutation($params: ExecutionParams!) {
    launchRun(executionParams: $params) {
        __typename
        ... on LaunchRunSuccess { run { runId } }
        ... on PythonError { message }
    }
}
"""
JOB = {
    "repositoryLocationName": "masques_pipelines",
    "repositoryName": "__repository__",
    "jobName": "ledger_sync_job",
}


def wait_until(is_so: Callable[[], bool], *, while_running: "subprocess.Popen[str]") -> None:
    while not is_so():
        assert while_running.poll() is None, while_running.communicate()[0]
        time.sleep(0.1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose Dagster is configured as `masques` does it, and has a history."""
    copy_history(tmp_path)
    (tmp_path / "dagster.yaml").unlink()
    make_home(tmp_path)
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    # A setting that is not one is refused: those of a campaign are the tests'.
    own = {name: value for name, value in os.environ.items() if "MASQUES_TEST_" not in name}
    return {
        **own,
        **dict.fromkeys(VARIABLES, ""),
        "MASQUES_HOME": str(home),
        "MASQUES_SANDBOX": "1",
        "DAGSTER_HOME": str(home),
        "PYTHONPATH": str(ROOT),
    }


@contextlib.contextmanager
def masques(home: Path, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
    """A command in a process group of its own, which is killed when the test fails."""
    with subprocess.Popen(
        [sys.executable, "-m", "masques_pipelines", *arguments],
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def held_warehouse(home: Path) -> Iterator[Path]:
    """The sandbox's warehouse, in use by another process for as long as the test lasts."""
    side = home / "sandbox" / "warehouse.engine"
    side.mkdir(parents=True)
    with (side / "lock").open("w+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("the test")
        lock.flush()
        yield side


def only_run(instance: dg.DagsterInstance) -> dg.DagsterRun | None:
    runs = instance.get_runs()
    assert len(runs) <= 1
    return runs[0] if runs else None


def events(instance: dg.DagsterInstance) -> list[str]:
    run = only_run(instance)
    if run is None:
        return []
    logs = instance.all_logs(run.run_id)
    return [entry.dagster_event_type.value for entry in logs if entry.dagster_event_type]


def assert_canceled(instance: dg.DagsterInstance) -> None:
    run = only_run(instance)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.CANCELED
    seen = events(instance)
    assert seen.count("STEP_START") == 1
    assert "PIPELINE_CANCELED" in seen
    assert not {"STEP_UP_FOR_RETRY", "STEP_RESTARTED", "STEP_SUCCESS"} & set(seen)


def is_finished(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.is_finished


def assert_nobody_is_left(group: int) -> None:
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_a_run_that_waits_for_the_lock(
    home: Path, held_warehouse: Path, number: signal.Signals, status: int
) -> None:
    with (
        dg.DagsterInstance.from_config(str(home)) as instance,
        masques(home, "job", "execute", "-j", "ledger_sync_job") as process,
    ):
        wait_until(lambda: "STEP_START" in events(instance), while_running=process)
        process.send_signal(number)
        output = process.communicate()[0]
        assert process.returncode == status, output
        assert_canceled(instance)
        assert_nobody_is_left(process.pid)


def test_a_demo_ends_with_its_child(home: Path, held_warehouse: Path) -> None:
    with (
        dg.DagsterInstance.from_config(str(home)) as instance,
        masques(home, "demo") as process,
    ):
        wait_until(lambda: "STEP_START" in events(instance), while_running=process)
        (child,) = children(process.pid)
        process.send_signal(signal.SIGINT)
        output = process.communicate()[0]
        assert process.returncode == 130, output
        assert_canceled(instance)
        assert not Path(f"/proc/{child}").exists()
        assert_nobody_is_left(child)


def children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


KILLS = rounds(1)


def test_a_run_that_was_killed_anywhere_stops_no_schedule(home: Path, held_warehouse: Path) -> None:
    """kill -9 at a random moment of its life; the next tick closes it and asks for a new one."""
    dice = seeded()
    life_s = 0.0  # from the command to its first step, as the first round sees it
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for number in range(KILLS):
            begun_s = time.monotonic()
            with masques(home, "job", "execute", "-j", "ledger_sync_job") as process:
                after_s = dice.uniform(0.5, 1.1) * life_s if number else math.inf
                while time.monotonic() < begun_s + after_s:
                    if "STEP_START" in events_of_last(instance):
                        break
                    assert process.poll() is None, process.communicate()[0]
                    time.sleep(0.05)
                life_s = life_s or time.monotonic() - begun_s
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            # Later than the next tick could be: a run may have ended before it came to a step.
            at = datetime.now(UTC) + START_MAX
            schedule = defs.resolve_schedule_def("ledger_sync_schedule")
            context = dg.build_schedule_context(
                instance=instance,
                scheduled_execution_time=at,
                repository_def=defs.get_repository_def(),
            )
            assert len(schedule.evaluate_tick(context).run_requests or ()) == 1, number
            assert all(run.status == dg.DagsterRunStatus.FAILURE for run in instance.get_runs())


def events_of_last(instance: dg.DagsterInstance) -> list[str]:
    runs = instance.get_runs(limit=1)
    if not runs or runs[0].is_finished:
        return []
    logs = instance.all_logs(runs[0].run_id)
    return [entry.dagster_event_type.value for entry in logs if entry.dagster_event_type]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_query_that_is_running(
    home: Path, number: signal.Signals, status: int
) -> None:
    # The first statement is shown when it is done; the second is what the signal ends.
    with masques(home, "sql", f"SELECT 'begun'; {SLEEPS}", "--format", "TSV") as process:
        assert process.stdout is not None
        while "begun" not in (line := process.stdout.readline()):
            assert line, "the command ended"
        process.send_signal(number)
        assert process.wait() == status
        assert_nobody_is_left(process.pid)


def test_terminate_in_the_ui_cancels_a_run_that_waits_for_the_lock(
    home: Path, held_warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Takes two seconds of a core to load, and every process of the tests loads this module.
    from dagster_graphql.test.utils import execute_dagster_graphql  # noqa: PLC0415

    for name, value in environment(home).items():
        monkeypatch.setenv(name, value)
    target = ModuleTarget(
        "masques_pipelines.definitions",
        attribute=None,
        working_directory=None,
        location_name="masques_pipelines",
    )
    history = home / "own"
    history.mkdir()
    run_coordinator = {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"}
    with (
        dg.DagsterInstance.local_temp(
            str(history),
            overrides={"telemetry": {"enabled": False}, "run_coordinator": run_coordinator},
        ) as instance,
        WorkspaceProcessContext(instance, target) as workspace,
    ):
        launched = execute_dagster_graphql(
            workspace.create_request_context(),
            LAUNCH,
            variables={"params": {"selector": JOB, "mode": "default"}},
        ).data["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id = launched["run"]["runId"]
        while "STEP_START" not in events(instance):
            assert not is_finished(instance, run_id)
            time.sleep(0.1)
        execute_dagster_graphql(
            workspace.create_request_context(), TERMINATE, variables={"run": run_id}
        )
        while not is_finished(instance, run_id):
            time.sleep(0.1)
        assert_canceled(instance)


def test_an_interrupt_cancels_the_engines_query_and_the_engine_stays_usable(
    empty_warehouse: Warehouse, engine_settings: Settings
) -> None:
    """Inside the engine for sure: the signal is sent by who sees the query running."""
    running = "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow%3600%'"

    def interrupt() -> None:
        with empty_warehouse.second_connection() as other:
            while other.scalar(f"{running} AND query NOT LIKE '%system.processes%'") == 0:
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        empty_warehouse.scalar(SLEEPS)
    sender.join()
    assert empty_warehouse.scalar("SELECT 1") == 1


def test_a_call_that_cannot_be_cancelled_is_left_behind_and_said_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("masques_pipelines.warehouse.interrupts.CANCEL_WAIT_S", 0.01)
    begun, may_end = threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        may_end.wait()

    def interrupt() -> None:
        begun.wait()
        # Not to the main thread: its wait is not broken off, as when a signal comes just before it.
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    calls = EngineCalls(cancel=lambda: None)
    sender = threading.Thread(target=interrupt)
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        calls(call)
    assert calls.is_abandoned
    may_end.set()
    sender.join()


DROPPED = """
import os, signal, sys, threading, time
from pathlib import Path
from masques_pipelines.warehouse import embedded, interrupts

class Dropping:
    def __del__(self):  # Python prints and drops what a finaliser raises
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)

interrupts.LOST_AFTER_S = 0.1
interrupts.watch_signals()
Dropping()
try:
    if sys.argv[1] == "engine":
        interrupts.EngineCalls(cancel=lambda: None)(threading.Event().wait)
    else:
        embedded._lock(Path(sys.argv[2]), lock_timeout_s=600, is_served=lambda: False)
except KeyboardInterrupt:
    print("interrupted by", interrupts.first_signal())
    sys.stdout.flush()
    os._exit(0)
"""


@pytest.mark.parametrize("wait", ["engine", "lock"])
def test_an_interrupt_that_python_dropped_ends_a_wait_all_the_same(
    home: Path, held_warehouse: Path, wait: str
) -> None:
    done = run(
        [sys.executable, "-c", DROPPED, wait, str(held_warehouse.with_suffix(""))],
        env=environment(home),
    )
    assert "Exception ignored in" in done.stderr
    assert done.stdout == "interrupted by 2\n", done.stderr
