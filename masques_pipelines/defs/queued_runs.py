"""Hands a run of the terminal to the queue of a daemon that is alive, and follows it there.

The run is then one of the UI's: on its timeline, in its limit of concurrent runs, to be executed
again and terminated. `masques job execute` and `masques asset materialize` come here first; without
a daemon, or with options that are not known here, Dagster runs them in the terminal's process.
"""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import click
import dagster as dg
from dagster._cli.workspace.cli_target import (
    get_repository_python_origin_from_cli_opts,
    get_run_config_from_cli_opts,
)
from dagster._core.events.log import EventLogEntry
from dagster._core.origin import JobPythonOrigin
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._utils.hosted_user_process import recon_repository_from_origin
from dagster_shared.cli import PythonPointerOpts

from masques_pipelines.defs import MODULE
from masques_pipelines.defs.failures import failure_text
from masques_pipelines.defs.run_log import NOT_BEGUN

LOCATION: Final = "masques_pipelines"
# The daemon says every half minute that it lives.
_SILENT_MAX_S: Final = 90.0
_QUEUE: Final = "QUEUED_RUN_COORDINATOR"
_LOOK_EVERY_S: Final = 0.5
_INFO: Final = 20
_INTERRUPTED: Final = 130
_OPTIONS: Final = {
    "-j": "job",
    "--job": "job",
    "--select": "select",
    "-c": "config",
    "--config": "config",
    "--config-json": "config-json",
    "--tags": "tags",
}
Sleep = Callable[[float], None]


@dataclass
class Asked:
    """What the terminal asks for.

    Attributes:
        job: Name of a job; '' for assets.
        select: A selection of assets; '' for a job.
        config: Of the run.
        tags: Of the run.
    """

    job: str = ""
    select: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


def handed_over(arguments: Sequence[str], *, sleep: Sleep = time.sleep) -> int | None:
    """Returns the exit status of a run that a daemon made, or None: it is to be made here."""
    try:
        asked = _asked(arguments)
    except (click.UsageError, dg.DagsterError, ValueError):
        return None  # a config that cannot be read: Dagster says why
    if asked is None:
        return None
    with dg.DagsterInstance.get() as instance:
        if not _is_alive(instance):
            return None
        try:
            run_id = submit(instance, asked)
        except (click.UsageError, dg.DagsterError, ValueError):
            return None  # one that is not the job's
        if run_id is None:
            return None
        _say(f"run {run_id}: handed to the daemon's queue; Ctrl-C terminates it")
        return follow(instance, run_id, sleep=sleep)


def _asked(arguments: Sequence[str]) -> Asked | None:
    """Returns what is asked for, or None where an option is not known here."""
    found: dict[str, list[str]] = {}
    rest = list(arguments[2:])
    while rest:
        option, equals, value = rest.pop(0).partition("=")
        if not equals:
            value = rest.pop(0) if rest else ""
        if option not in _OPTIONS or not value:
            return None
        found.setdefault(_OPTIONS[option], []).append(value)
    what = {"job execute": "job", "asset materialize": "select"}.get(" ".join(arguments[:2]))
    if what is None or what not in found:
        return None
    as_json = found.get("config-json", [None])[-1]
    config = dict(get_run_config_from_cli_opts(tuple(found.get("config", ())), as_json))
    tags = json.loads(found["tags"][-1]) if "tags" in found else {}
    return Asked(**{what: found[what][-1]}, config=config, tags=tags)


def _is_alive(instance: dg.DagsterInstance) -> bool:
    beat = instance.get_daemon_heartbeats().get(_QUEUE)
    return beat is not None and time.time() - beat.timestamp <= _SILENT_MAX_S


def submit(instance: dg.DagsterInstance, asked: Asked) -> str | None:
    """Puts a run into the queue; returns its id, or None when there is no such job.

    It has the origin of the code location that the daemon has loaded under this name: the code that
    runs is the daemon's.
    """
    origin = get_repository_python_origin_from_cli_opts(PythonPointerOpts(module_name=MODULE))
    repository = recon_repository_from_origin(origin).get_definition()
    keys = frozenset[dg.AssetKey]()
    if asked.select:
        selection = dg.AssetSelection.from_coercible(asked.select.split(","))
        keys = frozenset(selection.resolve(repository.asset_graph))
        job = repository.get_implicit_job_def_for_assets(keys)
    else:
        job = repository.get_job(asked.job) if repository.has_job(asked.job) else None
    if job is None:
        return None
    location = ManagedGrpcPythonEnvCodeLocationOrigin(
        LoadableTargetOrigin(executable_path=sys.executable, module_name=MODULE), LOCATION
    )
    run = instance.create_run_for_job(
        job,
        run_config=asked.config,
        tags={**job.tags, **asked.tags},
        asset_selection=keys or None,
        remote_job_origin=RemoteRepositoryOrigin(location, repository.name).get_job_origin(
            job.name
        ),
        job_code_origin=JobPythonOrigin(job.name, origin),
    )
    # The queue of an instance reads no workspace when it takes a run.
    instance.submit_run(run.run_id, workspace=None)  # type: ignore[arg-type]
    return run.run_id


def follow(instance: dg.DagsterInstance, run_id: str, *, sleep: Sleep = time.sleep) -> int | None:
    """Prints what a run says until it has ended; returns 0, 1, or 130 after an interrupt.

    Returns None when no daemon is alive any more to begin it: then it is canceled.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    events = _events(instance, run_id)
    reasons: list[str] = []
    status: int | None = None
    waits_for = ""
    while True:
        try:
            reasons += _shown(next(events))
            run = instance.get_run_by_id(run_id)
            if run is None or run.is_finished:
                reasons += _shown(next(events))
                break
            if run.status == dg.DagsterRunStatus.QUEUED and not _is_alive(instance):
                _say("the daemon is gone: the run is made here")
                instance.run_coordinator.cancel_run(run_id)
                return None
            before, waits_for = waits_for, _waits_for(instance, run)
            if waits_for not in ("", before):
                _say(f"run {run_id}: waits for {waits_for}")
            sleep(_LOOK_EVERY_S)
        except KeyboardInterrupt:
            if status is not None:
                _say(f"run {run_id}: it is being terminated; nothing waits for it any more")
                return status
            status = _INTERRUPTED
            _say(f"run {run_id}: terminating it")
            instance.run_coordinator.cancel_run(run_id)
    return status or _ended(run, reasons)


def _waits_for(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Returns what keeps a run in the queue; '' for one that was begun, or is the next."""
    if run.status != dg.DagsterRunStatus.QUEUED:
        return ""
    running = instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS_RUN_STATUSES))
    queued = [
        each.run_id
        for each in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
    ]
    # The newest comes first; what the queue puts before it by priority is not counted.
    before = len(queued) - queued.index(run.run_id) - 1 if run.run_id in queued else 0
    named = [f"{each.job_name} (run {each.run_id})" for each in running]
    return ", ".join(named + ([f"{before} before it in the queue"] if before else []))


def _ended(run: dg.DagsterRun | None, reasons: Sequence[str]) -> int:
    if run is None:
        _say("the run is gone: somebody deleted it")
        return 1
    if run.is_success:
        _say(f"{run.job_name} succeeded")
        return 0
    if run.status == dg.DagsterRunStatus.CANCELED:
        _say(f"{run.job_name} was canceled")
        return _INTERRUPTED
    _say(f"{run.job_name} failed: {'; '.join(dict.fromkeys(reasons)) or 'no reason is known'}")
    return 1


def _events(instance: dg.DagsterInstance, run_id: str) -> Iterator[list[EventLogEntry]]:
    """Yields what is new each time it is asked."""
    cursor: str | None = None
    while True:
        found = instance.get_records_for_run(run_id, cursor=cursor)
        cursor = found.cursor
        yield [record.event_log_entry for record in found.records]


def _shown(entries: Sequence[EventLogEntry]) -> list[str]:
    """Prints entries; returns why steps failed."""
    reasons = []
    for entry in entries:
        event = entry.dagster_event
        if event is None:
            if int(entry.level) >= _INFO and NOT_BEGUN not in entry.user_message:
                _say(f"{_step(entry)}{entry.user_message.strip()}")
        elif event.is_step_failure:
            reasons.append(f"{_step(entry)}{failure_text(event)}")
            _say(reasons[-1])
        elif event.is_run_failure and not reasons and event.job_failure_data.error is None:
            reasons.append(str(event.message))
    return reasons


def _step(entry: EventLogEntry) -> str:
    return f"{entry.step_key}: " if entry.step_key else ""


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is the terminal's output
