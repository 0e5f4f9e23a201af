"""Finds what is wrong from what Dagster knows: runs, checks, freshness, ticks, the daemon.

One cause is one fault: a run that failed for the reason that other runs failed for is the same one;
a check that is red explains that its run failed, and a full disk that runs found no space; a table
is not stale on its own while the job that fills it is at fault.
"""

import errno
import hashlib
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.scheduler.instigation import TickStatus
from dagster._core.storage.asset_check_execution_record import (
    COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES,
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from masques_pipelines.ages import duration
from masques_pipelines.alerts.book import NAME as BOOK_NAME
from masques_pipelines.alerts.fault import Fault
from masques_pipelines.defs.failures import failure_text
from masques_pipelines.defs.table_asset import MAY_BE_SILENT, OWNERS

# Skips in a row after which a schedule is at fault: one is usual while a run is unfinished.
SKIPS_MAX: Final = 3
# On a full disk Dagster keeps no tick, so nobody would look: it is told before.
_DISK_SHARE_MIN: Final = 0.05
_NEARLY_FULL: Final = "disk_is_nearly_full"
_NO_SPACE: Final = os.strerror(errno.ENOSPC)
_GIB: Final = 2**30
# The daemon says every half minute that it lives.
_HEARTBEAT_MAX: Final = timedelta(minutes=5)
_OWNER: Final = OWNERS[0].removeprefix("team:")
_ENDED: Final = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)
_ALL_ASSETS: Final = "__ASSET_JOB"
# Numbers differ between two runs that fail for one reason.
_NUMBER: Final = re.compile(r"\d+")


@dataclass(frozen=True)
class Watched:
    """What there is to look at.

    Attributes:
        jobs: Names of the jobs.
        assets: Keys of the tables that a job fills, and the jobs that fill each.
        checks: Keys of the checks.
        may_be_silent: Keys of those that may have no result: of what is switched off.
    """

    jobs: tuple[str, ...]
    assets: Mapping[dg.AssetKey, frozenset[str]]
    checks: tuple[dg.AssetCheckKey, ...]
    may_be_silent: frozenset[dg.AssetCheckKey] = frozenset()


def watched(repository: dg.RepositoryDefinition) -> Watched:
    """Returns what a code location has."""
    graph = repository.asset_graph
    jobs = tuple(name for name in repository.job_names if not name.startswith(_ALL_ASSETS))
    by_asset: dict[dg.AssetKey, set[str]] = {key: set() for key in graph.materializable_asset_keys}
    for name in jobs:
        for key in repository.get_job(name).asset_layer.executable_asset_keys:
            if key in by_asset:
                by_asset[key].add(name)
    checks = tuple(graph.asset_check_keys)
    return Watched(
        jobs,
        {key: frozenset(names) for key, names in by_asset.items()},
        checks,
        frozenset(key for key in checks if MAY_BE_SILENT in graph.get_check_spec(key).metadata),
    )


def find_faults(instance: dg.DagsterInstance, what: Watched, now: datetime) -> list[Fault]:
    """Returns everything that is wrong now.

    Args:
        instance: Dagster's.
        what: What there is to look at.
        now: The time.
    """
    checks, red_runs, silent = _checks(instance, what.checks)
    runs, failed_jobs, failed_runs = _runs(instance, what.jobs, red_runs)
    at_fault = failed_jobs | _jobs_of(instance, red_runs)
    # A run that failed made no check: that is told already.
    missing = [
        _check_fault(key, "check_did_not_run", "")
        for run_id, key in silent
        if run_id not in failed_runs and key not in what.may_be_silent
    ]
    disk = list(_disk(Path(instance.root_directory)))
    return [
        *disk,
        *(each for each in runs if not (disk and _NO_SPACE in each.detail)),
        *checks,
        *missing,
        *_stale(instance, what, at_fault),
        *_ticks(instance),
        *_daemons(instance, now),
    ]


def unremembered(problem: str, folder: Path, faults: Iterable[Fault]) -> list[Fault]:
    """Returns the fault that who was told is written nowhere, unless a full disk explains it.

    Args:
        problem: Why the book of faults could not be written last, or ''.
        folder: Where it is.
        faults: What else is wrong.
    """
    is_explained = problem == _NO_SPACE and any(each.entry == _NEARLY_FULL for each in faults)
    if not problem or is_explained:
        return []
    return [
        Fault(
            id="book",
            severity="error",
            title="alerts are not remembered",
            detail=f"{folder / BOOK_NAME} cannot be written: {problem}",
            owner=_OWNER,
            entry="alerts_are_not_remembered",
            page="deployment",
        )
    ]


def _runs(
    instance: dg.DagsterInstance, jobs: Iterable[str], red_runs: set[str]
) -> tuple[list[Fault], set[str], set[str]]:
    """Returns faults of the newest runs, the jobs whose newest run failed, and the ids of those."""
    by_reason: dict[str, list[tuple[str, dg.DagsterRun]]] = defaultdict(list)
    failed_jobs: set[str] = set()
    failed_runs: set[str] = set()
    for job in (*jobs, _ALL_ASSETS):
        newest = instance.get_runs(dg.RunsFilter(job_name=job, statuses=list(_ENDED)), limit=1)
        if not newest or newest[0].status != dg.DagsterRunStatus.FAILURE:
            continue
        run = newest[0]
        if job == _ALL_ASSETS and _is_repeated(instance, run):
            continue
        failed_jobs.add(job)
        failed_runs.add(run.run_id)
        reason = _reason(instance, run)
        if run.run_id not in red_runs:
            by_reason[_NUMBER.sub("0", reason)].append((reason, run))
    faults = []
    for key, failed in by_reason.items():
        names = sorted({run.job_name for _, run in failed})
        shown = ", ".join("a run by hand" if name == _ALL_ASSETS else name for name in names)
        reason, run = failed[0]
        faults.append(
            Fault(
                id=f"run {hashlib.sha256(key.encode()).hexdigest()[:12]}",
                severity="error",
                title=f"{shown} failed",
                detail=reason,
                owner=run.tags.get("owner", _OWNER),
                entry="run_failed",
                page=f"runs/{run.run_id}",
            )
        )
    return faults, failed_jobs, failed_runs


def _is_repeated(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Returns whether a job has filled the tables since that a run by hand did not."""
    failed = instance.get_run_record_by_id(run.run_id)
    if failed is None or failed.end_time is None:
        return False
    return bool(
        instance.get_runs(
            dg.RunsFilter(
                statuses=[dg.DagsterRunStatus.SUCCESS],
                updated_after=datetime.fromtimestamp(failed.end_time).astimezone(),
            ),
            limit=1,
        )
    )


def _reason(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Returns why a run failed, in the words of its first failed step or of the run itself."""
    steps = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    for entry in steps:
        if entry.dagster_event is None:
            continue
        return failure_text(entry.dagster_event)
    ended = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    return next((str(entry.user_message or entry.message) for entry in ended), "no reason is known")


def _jobs_of(instance: dg.DagsterInstance, run_ids: Iterable[str]) -> set[str]:
    runs = (instance.get_run_by_id(run_id) for run_id in run_ids)
    return {run.job_name for run in runs if run is not None}


def _checks(
    instance: dg.DagsterInstance, keys: tuple[dg.AssetCheckKey, ...]
) -> tuple[list[Fault], set[str], list[tuple[str, dg.AssetCheckKey]]]:
    """Returns red checks, the runs that made them, and checks that their runs did not make."""
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    faults, red_runs = [], set()
    silent: list[tuple[str, dg.AssetCheckKey]] = []
    for key, newest in found.items():
        record: AssetCheckExecutionRecord | None = newest
        if newest.status == AssetCheckExecutionRecordStatus.PLANNED:
            run = instance.get_run_by_id(newest.run_id)
            if run is not None and run.status in _ENDED:
                silent.append((newest.run_id, key))
            # What was red stays red until a result says otherwise, also while a run works.
            record = next(iter(_results(instance, key)), None)
        if record is not None and record.status == AssetCheckExecutionRecordStatus.FAILED:
            faults.append(_red(key, record))
            red_runs.add(record.run_id)
    return faults, red_runs, silent


def _results(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey
) -> Sequence[AssetCheckExecutionRecord]:
    """Returns the newest result of a check, without runs that have not made it yet."""
    return instance.event_log_storage.get_asset_check_execution_history(
        key, limit=1, status=COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES
    )


def _red(key: dg.AssetCheckKey, record: AssetCheckExecutionRecord) -> Fault:
    event = record.event.dagster_event if record.event else None
    evaluation = event.asset_check_evaluation_data if event else None
    is_warning = evaluation is not None and evaluation.severity == dg.AssetCheckSeverity.WARN
    # What one run found red has one cause more often than several.
    return replace(
        _check_fault(key, key.name, _detail(evaluation), is_warning=is_warning),
        cause=f"run {record.run_id}",
    )


def _detail(evaluation: AssetCheckEvaluation | None) -> str:
    """Returns what a check says, or else its numbers and rows."""
    if evaluation is None or evaluation.description:
        return (evaluation.description or "") if evaluation else ""
    shown = []
    for name, value in evaluation.metadata.items():
        if isinstance(value, dg.TableMetadataValue):
            shown += [f"{name}: {dict(record.data)}" for record in value.records]
        else:
            shown.append(f"{name}: {value.value}")
    return "\n".join(shown)


def _check_fault(
    key: dg.AssetCheckKey, entry: str, detail: str, *, is_warning: bool = False
) -> Fault:
    asset = key.asset_key.to_user_string()
    state = "did not run" if entry == "check_did_not_run" else "is red"
    return Fault(
        id=f"check {asset} {key.name}",
        severity="warning" if is_warning else "error",
        title=f"{key.name} of {asset} {state}",
        detail=detail,
        owner=_OWNER,
        entry=entry,
        page=f"assets/{asset}?view=checks&checkDetail={key.name}",
    )


def _stale(instance: dg.DagsterInstance, what: Watched, at_fault: set[str]) -> Iterator[Fault]:
    for key, state in instance.get_freshness_state_records(list(what.assets)).items():
        if state.freshness_state != FreshnessState.FAIL or what.assets[key] & at_fault:
            continue
        table = key.to_user_string()
        yield Fault(
            id=f"stale {table}",
            severity="error",
            title=f"{table} is stale",
            detail=f"its schedule filled it last before {state.updated_at:%Y-%m-%d %H:%M} UTC",
            owner=_OWNER,
            entry="table_is_stale",
            page=f"assets/{table}",
        )


def _ticks(instance: dg.DagsterInstance) -> Iterator[Fault]:
    """Finds schedules and sensors whose newest ticks failed, and schedules that only skip."""
    for state in instance.all_instigator_state():
        if not state.is_running:
            continue
        ticks = [
            tick
            for tick in instance.get_ticks(
                state.instigator_origin_id, state.selector_id, limit=SKIPS_MAX + 1
            )
            if tick.status != TickStatus.STARTED
        ][:SKIPS_MAX]
        is_schedule = state.instigator_type.value == "SCHEDULE"
        page = f"{'schedules' if is_schedule else 'sensors'}/{state.instigator_name}"
        if ticks and ticks[0].status == TickStatus.FAILURE:
            error = ticks[0].error
            detail = str((error.cause or error).message).strip() if error else ""
            name, entry = f"{state.instigator_name} cannot be evaluated", "tick_failed"
            yield Fault(f"tick {state.instigator_name}", "error", name, detail, _OWNER, entry, page)
        elif (
            is_schedule
            and len(ticks) == SKIPS_MAX
            and all(tick.status == TickStatus.SKIPPED for tick in ticks)
        ):
            yield Fault(
                id=f"skips {state.instigator_name}",
                severity="warning",
                title=f"{state.instigator_name} skipped {SKIPS_MAX} ticks or more in a row",
                detail=ticks[0].skip_reason or "",
                owner=_OWNER,
                entry="ticks_are_skipped",
                page=page,
            )


def _daemons(instance: dg.DagsterInstance, now: datetime) -> Iterator[Fault]:
    """Finds parts of the daemon that lived once and are not heard of any more."""
    for name, heartbeat in instance.get_daemon_heartbeats().items():
        silence = now - datetime.fromtimestamp(heartbeat.timestamp, now.tzinfo)
        if silence > _HEARTBEAT_MAX:
            yield Fault(
                id=f"daemon {name}",
                severity="error",
                title=f"the daemon's {name.lower()} is not heard of",
                detail=f"for {duration(silence)}",
                owner=_OWNER,
                entry="daemon_is_gone",
                page="health",
            )


def _disk(folder: Path) -> Iterator[Fault]:
    used = shutil.disk_usage(folder)
    if used.free < _DISK_SHARE_MIN * used.total:
        yield Fault(
            id="disk",
            severity="error",
            title="the disk is nearly full",
            detail=f"{used.free / _GIB:,.1f} of {used.total / _GIB:,.1f} GiB are free at {folder}",
            owner=_OWNER,
            entry=_NEARLY_FULL,
            page="deployment",
        )
