"""Runs whose process is gone: seen by a lock that the kernel frees, and closed.

kill -9, a full memory, a power cut and the end of a container leave a run that says "started" for
ever; it stopped its schedule for four hours, everything green. A process that executes runs holds a
lock on a file of its own beside Dagster's history, and each of its runs carries the file's name. A
file whose lock is free is a process that is gone, whoever has its number since.
"""

import fcntl
import os
import socket
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import dagster as dg

PROCESS_TAG: Final = "masques/process"
# Between the making of a run and its first step lie some tenths of a second: the code is loaded
# before.
START_MAX: Final = timedelta(seconds=30)
_WATCHED: Final = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
_FREED: Final = (
    "it was killed, ran out of memory, or its machine stopped. What it had written is whole; the "
    "job's next run goes on from there"
)
# The locks of this process by folder. They are open to its end: closing one would free it.
_OWN: Final[dict[Path, tuple[str, int]]] = {}


def note_process(instance: dg.DagsterInstance, run_id: str) -> None:
    """Writes down which process executes a run, so that others see when it is gone."""
    instance.add_run_tags(run_id, {PROCESS_TAG: _own_lock(_folder(instance))})


def close_dead_runs(
    instance: dg.DagsterInstance, jobs: Iterable[str], now: datetime
) -> tuple[str, ...]:
    """Closes runs whose process is gone: as failed, or as canceled where that was asked for.

    A run of another machine is left to Dagster's run monitoring: no file here tells of its process.

    Args:
        instance: Dagster's.
        jobs: Names of the jobs that only this project has. Of a run that never came to its first
            step nothing else says whose it is.
        now: The time.

    Returns:
        The ids of the closed runs.
    """
    records = instance.get_run_records(dg.RunsFilter(statuses=list(_WATCHED)))
    folder = _folder(instance)
    dead = {
        record.dagster_run.run_id: record.dagster_run
        for record in records
        if _is_dead(record, folder, set(jobs), now)
    }
    for run in dead.values():
        process = run.tags.get(PROCESS_TAG)
        what = f"its process {process} is gone" if process else "its process never began its work"
        message = f"{what}: {_FREED}."
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message)
        else:
            instance.report_run_failed(run, message)
    alive = {record.dagster_run.tags.get(PROCESS_TAG) for record in records}
    alive -= {run.tags.get(PROCESS_TAG) for run in dead.values()}
    _sweep(folder, alive)
    return tuple(dead)


def _is_dead(record: dg.RunRecord, folder: Path, jobs: set[str], now: datetime) -> bool:
    run = record.dagster_run
    process = run.tags.get(PROCESS_TAG)
    if process:
        return not _is_held(folder / process)
    return run.job_name in jobs and now - record.create_timestamp > START_MAX


def _folder(instance: dg.DagsterInstance) -> Path:
    return Path(instance.root_directory).resolve() / "processes"


def _own_lock(folder: Path) -> str:
    """Returns the name of this process's file, made and locked when first asked for."""
    if folder not in _OWN:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        # Under its name only when it is locked: a file that is free is a process that is gone.
        hidden = folder / f".{name}"
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        hidden.rename(folder / name)
        _OWN[folder] = name, descriptor
    return _OWN[folder][0]


def _is_held(file: Path) -> bool:
    """Tells whether a process is not known to be gone; without its file nothing is known."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _sweep(folder: Path, alive: set[str | None]) -> None:
    """Removes the files of processes that are gone and that no unfinished run names."""
    for file in folder.glob("[!.]*"):
        if file.name not in alive and not _is_held(file):
            file.unlink(missing_ok=True)
