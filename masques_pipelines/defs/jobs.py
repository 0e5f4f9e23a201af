"""Jobs and the schedules that run them.

Here: one job and one schedule for each line of business. A job starts with the root asset.
Not here: assets (one file per table), sensors (sensors.py), concurrency (dagster.yaml).
A re-run of a job is always safe: see each asset.
"""

from datetime import datetime, timedelta
from typing import Final

import dagster as dg

from masques_pipelines.defs.migrations import SCHEMA_MIGRATIONS
from masques_pipelines.intake.tables import TABLES

UNFINISHED: Final = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
)
# A run that claims to be unfinished for longer than dagster.yaml lets any run live is a dead one
# (a killed command-line run stays STARTED for ever); it must not stop the schedule.
UNFINISHED_AGE_MAX: Final = timedelta(hours=4)


def with_root(group: str) -> dg.AssetSelection:
    """Selects the root asset and one group, so that a new table needs no edit here."""
    return dg.AssetSelection.assets(SCHEMA_MIGRATIONS) | dg.AssetSelection.groups(group)


def unfinished_run(
    instance: dg.DagsterInstance, job_name: str, now: datetime
) -> dg.SkipReason | None:
    """Returns why a job should not be started again now, or None."""
    unfinished = instance.get_runs(
        filters=dg.RunsFilter(
            job_name=job_name,
            statuses=list(UNFINISHED),
            created_after=now - UNFINISHED_AGE_MAX,
        ),
        limit=1,
    )
    if not unfinished:
        return None
    return dg.SkipReason(f"run {unfinished[0].run_id} of {job_name} is not finished yet")


def steady_schedule(job_name: str, cron_schedule: str) -> dg.ScheduleDefinition:
    """Returns a schedule in UTC that skips a tick while the job's last run is unfinished.

    Without the skip a long back-fill would pile up a queue of runs that have nothing left to do.
    """

    @dg.schedule(
        name=f"{job_name.removesuffix('_job')}_schedule",
        job_name=job_name,
        cron_schedule=cron_schedule,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        skip = unfinished_run(context.instance, job_name, context.scheduled_execution_time)
        if skip is not None:
            return skip
        return dg.RunRequest(run_key=context.scheduled_execution_time.isoformat())

    return tick


ledger_sync_job = dg.define_asset_job(
    "ledger_sync_job",
    selection=with_root("ledger"),
    description="Brings accounts and transactions up to the ledger's newest event.",
)
ledger_sync_schedule = steady_schedule("ledger_sync_job", "*/5 * * * *")

settlement_ingestion_job = dg.define_asset_job(
    "settlement_ingestion_job",
    selection=with_root("settlement"),
    description="Brings settlements up to the head of every rail that is on.",
)
settlement_ingestion_schedule = steady_schedule("settlement_ingestion_job", "*/10 * * * *")

reputation_aggregation_job = dg.define_asset_job(
    "reputation_aggregation_job",
    selection=dg.AssetSelection.assets(SCHEMA_MIGRATIONS, ["masques", "reputation_scores"]),
    description="Derives signals, and computes every identity's score anew.",
)
reputation_aggregation_schedule = steady_schedule("reputation_aggregation_job", "20 * * * *")

# By table, not by group: other tables live in the same groups.
intake_job = dg.define_asset_job(
    "intake_job",
    selection=dg.AssetSelection.assets(
        SCHEMA_MIGRATIONS, *(dg.AssetKey(["masques", name]) for name in TABLES)
    ),
    description="Loads what the gate and its neighbours dropped into the landing zone.",
)
# The sensor starts the job when files settle; the schedule is the net under it.
intake_schedule = steady_schedule("intake_job", "*/15 * * * *")

JOBS: Final = (
    ledger_sync_job,
    settlement_ingestion_job,
    reputation_aggregation_job,
    intake_job,
)
SCHEDULES: Final = (
    ledger_sync_schedule,
    settlement_ingestion_schedule,
    reputation_aggregation_schedule,
    intake_schedule,
)
