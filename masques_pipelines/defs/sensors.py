"""The sensor on the landing zone: it starts the intake when files have settled.

It does not look into the warehouse: the embedded engine belongs to runs. A tick with the same
cursor asks for the same run again, and Dagster starts it once.
"""

import hashlib
import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import dagster as dg

from masques_pipelines.defs.alerts import alerts_sensor
from masques_pipelines.defs.cadence import BY_JOB
from masques_pipelines.defs.dead_runs import close_dead_runs
from masques_pipelines.defs.jobs import intake_job, unfinished_run
from masques_pipelines.defs.resources import run_settings
from masques_pipelines.errors import MasquesError
from masques_pipelines.intake.channels import read_channels
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.landing.dates import days_ago
from masques_pipelines.landing.listing import list_folder
from masques_pipelines.landing.zone import LandingFile, open_landing
from masques_pipelines.sandbox.places import check_version

INTERVAL_S: Final = 30
# Files that one tick asks a run for. A run takes what is due, these or more; the ticks after it
# find the rest.
BATCH_FILES: Final = 500
_HASH_CHARS: Final = 12


@dg.sensor(
    name="intake_sensor",
    job=intake_job,
    minimum_interval_seconds=INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Every 30 s: starts intake_job for files of the landing zone that have settled and that no "
        "run was started for, at most 500 files a run."
    ),
)
def intake_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Asks for a run of the intake.

    The cursor holds a short hash of each file that a run was asked for and that is still there. As
    it looks most often, it closes dead runs also when no file is new.
    """
    now = datetime.fromtimestamp(time.time(), UTC)
    close_dead_runs(context.instance, BY_JOB, now)
    try:
        settings = run_settings()
        if settings.sandbox_folder is not None:
            check_version(settings.sandbox_folder)
        landing = open_landing(settings)
        channels = read_channels(settings.landing_channels)
        since = days_ago(settings.landing_recent_days)
        listings = [
            list_folder(landing, name, within=channels.folders(name), since=since)
            for name in TABLES
        ]
        files = [file for listing in listings for file in listing.files]
    except MasquesError as error:
        return dg.SkipReason(str(error))
    seen = set(json.loads(context.cursor)) if context.cursor else set()
    there = {_hash(file): file for file in files}
    fresh = sorted(
        (name for name in there if name not in seen),
        key=lambda name: (there[name].written_s, there[name].path),
    )[:BATCH_FILES]
    if not fresh:
        return dg.SkipReason(f"no new file among {len(files)} in {landing.description}")
    skip = unfinished_run(context.instance, intake_job.name, now)
    if skip is not None:
        return skip
    cursor = json.dumps(sorted((seen & there.keys()) | set(fresh)), separators=(",", ":"))
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(run_key=_run_key(fresh), tags={"intake/new_files": str(len(fresh))})
        ],
        cursor=cursor,
    )


def _hash(file: LandingFile) -> str:
    return hashlib.sha256(f"{file.path}\n{file.version}".encode()).hexdigest()[:_HASH_CHARS]


def _run_key(names: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:32]


SENSORS: Final = (intake_sensor, alerts_sensor)
