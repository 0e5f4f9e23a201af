"""The sensor that tells people what is wrong, once, and once when it is over."""

import functools
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import dagster as dg

from masques_pipelines.alerts.book import KeptBook
from masques_pipelines.alerts.look import look
from masques_pipelines.alerts.rules import read_rules
from masques_pipelines.alerts.sending import Sender, ping
from masques_pipelines.defs.faults import find_faults, unremembered, watched
from masques_pipelines.defs.resources import run_settings

INTERVAL_S: Final = 60


@functools.cache
def _kept_book(folder: Path) -> KeptBook:
    """Returns the one of this process: it remembers what the folder does not take."""
    return KeptBook(folder)


@dg.sensor(
    name="alerts_sensor",
    minimum_interval_seconds=INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Every minute: looks for failed runs, red checks, stale tables, schedules that skip or "
        "fail, and parts of the daemon that died; tells who MASQUES_ALERTS_FILE names, once, and "
        "once when it is over; calls the monitor outside. It starts no run."
    ),
)
def alerts_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Looks once; what it finds and tells is kept beside Dagster's history."""
    now = datetime.fromtimestamp(time.time(), UTC)
    rules = read_rules(run_settings().alerts_file)
    folder = Path(context.instance.root_directory)
    if context.repository_def is None:
        raise RuntimeError("a sensor of a code location has its repository")
    kept = _kept_book(folder)
    faults = find_faults(context.instance, watched(context.repository_def), now)
    faults += unremembered(kept.problem, folder, faults)
    book = look(kept, faults, rules, Sender(folder), now)
    waiting = sum(len(queue) for queue in book.outbox.values())
    problem = ping(rules)
    said = f"{len(book.open)} faults are open, {waiting} messages wait for their receivers"
    return dg.SkipReason(f"{said}; {problem}" if problem else said)
