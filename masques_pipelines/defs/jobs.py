"""Jobs and the schedules that run them; each job starts with the root asset."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Final

import dagster as dg

from masques_pipelines.defs.cadence import BY_JOB
from masques_pipelines.defs.dead_runs import close_dead_runs
from masques_pipelines.defs.housekeeping import prune_history
from masques_pipelines.defs.inventory import ROTATION
from masques_pipelines.defs.lineage import LANDING_FILES, intake_key
from masques_pipelines.defs.operations import JOBS as OPERATIONS
from masques_pipelines.defs.reconciliation.breaks import break_note_job
from masques_pipelines.defs.table_asset import OWNERS, SCHEMA_MIGRATIONS, table_key
from masques_pipelines.defs.verification import EVERYTHING_IS_PROVED
from masques_pipelines.intake.tables import TABLES

if TYPE_CHECKING:  # Dagster gives the type no public name
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

# What one job runs, and the others do not.
_OF_ONE_JOB: Final = frozenset({*ROTATION, EVERYTHING_IS_PROVED})

UNFINISHED: Final = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
)


def unfinished_run(
    instance: dg.DagsterInstance, job_name: str, now: datetime
) -> dg.SkipReason | None:
    """Returns why a job should not be started again now, or None; close dead runs before.

    A run of another machine that died is not seen: it counts for as long as its job may take.
    """
    unfinished = instance.get_runs(
        filters=dg.RunsFilter(
            job_name=job_name,
            statuses=list(UNFINISHED),
            created_after=now - BY_JOB[job_name].run_max,
        ),
        limit=1,
    )
    if not unfinished:
        return None
    return dg.SkipReason(f"run {unfinished[0].run_id} of {job_name} is not finished yet")


def steady_schedule(job_name: str, description: str) -> dg.ScheduleDefinition:
    """Returns a schedule in UTC that skips a tick while the job's last run is unfinished.

    Without the skip a long back-fill would pile up a queue of runs that have nothing left to do.
    """

    @dg.schedule(
        name=f"{job_name.removesuffix('_job')}_schedule",
        job_name=job_name,
        cron_schedule=BY_JOB[job_name].cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"{description} A tick is skipped while the job's last run is unfinished.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        now = context.scheduled_execution_time
        close_dead_runs(context.instance, BY_JOB, now)
        skip = unfinished_run(context.instance, job_name, now)
        if skip is not None:
            return skip
        return dg.RunRequest(run_key=now.isoformat())

    return tick


def _job(
    name: str,
    selection: dg.AssetSelection,
    description: str,
    own_checks: Iterable[dg.AssetCheckKey] = (),
) -> "UnresolvedAssetJobDefinition":
    return dg.define_asset_job(
        name,
        selection=(dg.AssetSelection.assets(SCHEMA_MIGRATIONS) | selection)
        - dg.AssetSelection.checks(*(_OF_ONE_JOB - set(own_checks))),
        description=description,
        tags=_tags(name),
    )


def _tags(name: str) -> dict[str, str]:
    """Returns what is shown beside each run of a job; alerts and filters go by it."""
    return {
        "owner": OWNERS[0].removeprefix("team:"),
        "part": name.removesuffix("_job"),
        "dagster/max_runtime": str(int(BY_JOB[name].run_max.total_seconds())),
    }


ledger_sync_job = _job(
    "ledger_sync_job",
    dg.AssetSelection.groups("ledger"),
    "Copies accounts and change events up to the ledger's newest event, and proves the copy. "
    "Running it again copies what is new since.",
)
ledger_sync_schedule = steady_schedule(
    "ledger_sync_job", "Every 5 minutes: keeps accounts and transactions up to date."
)

settlement_ingestion_job = _job(
    "settlement_ingestion_job",
    dg.AssetSelection.groups("settlement"),
    "Reads every configured rail up to its head and appends what changed to settlements. A rail "
    "that cannot be read fails its check; the others are read all the same.",
)
settlement_ingestion_schedule = steady_schedule(
    "settlement_ingestion_job", "Every 10 minutes: reads the rails."
)

reputation_aggregation_job = _job(
    "reputation_aggregation_job",
    dg.AssetSelection.assets(table_key("reputation_scores")),
    "Derives signals from what is new, recomputes every identity's score, and swaps the scores in "
    "as a whole.",
)
reputation_aggregation_schedule = steady_schedule(
    "reputation_aggregation_job",
    "Every hour at :20: recomputes the reputation scores.",
)

reconciliation_job = _job(
    "reconciliation_job",
    dg.AssetSelection.groups("reconciliation"),
    "Compares requests, sessions, ledger and settlements, as far as each was read, and writes what "
    "is said of each payment. It waits for no rail: what is unread makes no break.",
)
reconciliation_schedule = steady_schedule(
    "reconciliation_job",
    "Every 5 minutes, 3 minutes after the ledger: compares what is new.",
)

# The check of the landing zone, which no run materializes.
NOTHING_PASSED_OVER: Final = dg.AssetCheckKey(LANDING_FILES, "nothing_passed_over")
# By table, not by group: other tables live in the same groups.
intake_job = _job(
    "intake_job",
    dg.AssetSelection.assets(*(intake_key(table) for table in TABLES.values()))
    | dg.AssetSelection.checks(NOTHING_PASSED_OVER),
    "Loads the files of the landing zone that no run has loaded yet. Bad rows go to quarantine.",
)
intake_schedule = steady_schedule(
    "intake_job",
    "Every 15 minutes: loads new files. It is the fallback of intake_sensor, which starts the job "
    "when files settle.",
)

inventory_job = _job(
    "inventory_job",
    dg.AssetSelection.checks(*ROTATION),
    "Reads a part of every table and compares it with what was written: content by day, scores "
    "with their query, files with their checksums. Each day is read once within 24 hours.",
    own_checks=ROTATION,
)
inventory_schedule = steady_schedule(
    "inventory_job", "Every hour at :50: reads the part of the tables that is due."
)

verification_job = _job(
    "verification_job",
    dg.AssetSelection.checks(EVERYTHING_IS_PROVED),
    "Proves everything from the beginning once a night, as `masques verify --full`: a run makes "
    "slices for five minutes, the next goes on. After a complete pass it does nothing for 20 "
    "hours.",
    own_checks=[EVERYTHING_IS_PROVED],
)
verification_schedule = steady_schedule(
    "verification_job",
    "Each night from 01:00 to 05:00, three times an hour: goes on with the whole pass.",
)


@dg.job(
    name="housekeeping_job",
    description=(
        "Keeps Dagster's history small: deletes old runs. The newest runs that filled a table, "
        "made a check or failed stay."
    ),
    tags=_tags("housekeeping_job"),
)
def housekeeping_job() -> None:
    """Deletes old runs."""
    prune_history()


housekeeping_schedule = steady_schedule(
    "housekeeping_job", "Every day at 05:35: deletes runs that ended more than 14 days ago."
)

JOBS: Final = (
    housekeeping_job,
    ledger_sync_job,
    settlement_ingestion_job,
    reconciliation_job,
    reputation_aggregation_job,
    intake_job,
    inventory_job,
    verification_job,
    break_note_job,
    *OPERATIONS,
)
SCHEDULES: Final = (
    housekeeping_schedule,
    ledger_sync_schedule,
    settlement_ingestion_schedule,
    reconciliation_schedule,
    reputation_aggregation_schedule,
    intake_schedule,
    inventory_schedule,
    verification_schedule,
)
