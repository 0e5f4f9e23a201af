"""Keeps Dagster's history small: runs that nobody needs any more are deleted.

The schedules make some 550 runs a day, each with a file of its own: 0.2 GB a day, for ever.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import dagster as dg
from pydantic import Field

from masques_pipelines.alerts.sending import LOG_NAME
from masques_pipelines.defs.failures import explained
from masques_pipelines.whole_file import whole_file

_ENDED: Final = (
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
)
_PAGE: Final = 200


class Kept(dg.Config):
    """What stays in the history."""

    keep_days: int = Field(
        default=14, ge=1, description="Runs that ended longer ago are deleted, but for these."
    )
    keep_failures: int = Field(
        default=20, ge=0, description="So many of the newest failed runs stay, however old."
    )


@dg.op(
    description=(
        "Deletes old runs. The newest runs that filled each table, made each check or failed stay, "
        "and so do unfinished ones."
    ),
    out=dg.Out(dg.Nothing),
)
@explained
def prune_history(context: dg.OpExecutionContext, config: Kept) -> dg.Output[None]:
    """Deletes old runs, and old lines of the log of alerts."""
    now = datetime.now(UTC)
    before = now - timedelta(days=config.keep_days)
    graph = context.repository_def.asset_graph
    kept = runs_to_keep(
        context.instance,
        graph.materializable_asset_keys,
        graph.asset_check_keys,
        failures=config.keep_failures,
    )
    deleted = delete_runs(context.instance, before, kept)
    lines = prune_log(Path(context.instance.root_directory) / LOG_NAME, before)
    context.log.info("%d runs and %d lines of the log of alerts deleted", deleted, lines)
    return dg.Output(None, metadata={"runs_deleted": deleted, "runs_kept_though_old": len(kept)})


def runs_to_keep(
    instance: dg.DagsterInstance,
    assets: Iterable[dg.AssetKey],
    checks: Iterable[dg.AssetCheckKey],
    *,
    failures: int,
) -> set[str]:
    """Returns the ids of runs that stay, however old.

    Args:
        instance: Dagster's.
        assets: Of each the run of its newest materialization stays.
        checks: Of each the run of its newest result stays.
        failures: So many of the newest failed runs stay.
    """
    kept = {
        record.asset_entry.last_materialization_record.run_id
        for record in instance.get_asset_records(list(assets))
        if record.asset_entry.last_materialization_record is not None
    }
    newest = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(checks))
    kept |= {record.run_id for record in newest.values()}
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
    if failures:
        kept |= {run.run_id for run in instance.get_runs(failed, limit=failures)}
    return kept


def delete_runs(instance: dg.DagsterInstance, before: datetime, kept: set[str]) -> int:
    """Deletes ended runs that were made before a time, but for some; returns how many."""
    old = dg.RunsFilter(statuses=list(_ENDED), created_before=before)
    deleted, cursor = 0, None
    while True:
        page = instance.get_run_records(old, limit=_PAGE, cursor=cursor)
        for record in page:
            if record.dagster_run.run_id not in kept:
                _delete(instance, record.dagster_run.run_id)
                deleted += 1
        stay = [each for each in page if each.dagster_run.run_id in kept]
        if len(page) < _PAGE:
            return deleted
        # A cursor is a run that is still there; without one the next page is the first again.
        cursor = stay[-1].dagster_run.run_id if stay else cursor


def _delete(instance: dg.DagsterInstance, run_id: str) -> None:
    instance.delete_run(run_id)
    # SQLite keeps an empty file for each run that was deleted.
    file_of = getattr(instance.event_log_storage, "path_for_shard", None)
    if file_of is not None:
        for ending in ("", "-wal", "-shm"):
            Path(f"{file_of(run_id)}{ending}").unlink(missing_ok=True)


def prune_log(log: Path, before: datetime) -> int:
    """Removes lines of before a time from the log of alerts; returns how many."""
    if not log.exists():
        return 0
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    stay = [line for line in lines if datetime.fromisoformat(json.loads(line)["at"]) >= before]
    if len(stay) < len(lines):
        with whole_file(log) as file:
            file.write("".join(stay).encode())
    return len(lines) - len(stay)
