"""Runs the rails of the environment in a process of its own, killed at a chosen step.

Usage: python -m tests.support.killed_run POINT, POINT being one of POINTS or "never". The rows are
printed as JSON at the end of a run that was not killed.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from masques_pipelines.rails import ingest as ingestion
from masques_pipelines.rails import revisions
from masques_pipelines.rails.run import ingest_all
from masques_pipelines.schema.migrations import migrate
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin
from masques_pipelines.warehouse.connect import open_warehouse

# (where, before or after it is done, at which call): the rails come as journal 1 and lightning 2.
POINTS = {
    "fetched": ("append", "before", 2),
    "appended": ("append", "after", 2),
    "journal appended": ("append", "after", 1),
    # A rail whose cursor did not move saves none: with an old journal this is Lightning's.
    "cursor saved": ("write_cursor", "after", 1),
}
ROWS = (
    "SELECT * EXCEPT (recorded_at, ingested_at) FROM masques.settlements "
    "ORDER BY settlement_id, revision"
)


def main() -> None:
    """Runs once."""
    point = sys.argv[1]
    if point != "never":
        where, when, call = POINTS[point]
        module: Any = revisions if where == "append" else ingestion
        setattr(module, where, deadly(getattr(module, where), when, call))
    settings = read_settings()
    with open_warehouse(settings, origin=Origin(job="test")) as warehouse:
        migrate(warehouse)
        done = ingest_all(warehouse, settings)
        errors = [each.error for each in done.outcomes if each.error]
        if errors:
            raise SystemExit(str(errors))
        sys.stdout.write(warehouse.text(ROWS, fmt="JSONEachRow"))


def deadly(function: Callable[..., Any], when: str, call: int) -> Callable[..., Any]:
    """Returns the function, which kills this process around one of its calls."""
    calls = 0

    def wrapped(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **named)
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


if __name__ == "__main__":
    main()
