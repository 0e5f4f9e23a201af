"""Shortens what Dagster prints of a failure to the line that says what, where and what to do.

Of one failed step Dagster prints its error with two stack traces, a line for each step that was not
begun, and the error again at the end. The run's own log in the UI keeps all of it.
"""

import copy
import logging
from collections import defaultdict
from typing import Any, Final

# Of a step that has to wait for one that failed; the end of such a message differs.
NOT_BEGUN: Final = "Dependencies for step "
# Why steps of this process failed, in their order, by run.
REASONS: Final[dict[str, list[str]]] = defaultdict(list)
# Begins the last line of a terminal's run that failed.
FAILED: Final = "failed: "
# It prints a line of its own for each attempt whose error we raise anyway.
_DRIVER: Final = "clickhouse_connect"


class RunLogger(logging.Logger):
    """A console logger of Dagster's that shows failures in one line."""

    def handle(self, record: logging.LogRecord) -> None:
        """Shows a record of a run, or another as it is."""
        meta = getattr(record, "dagster_meta", None)
        if not isinstance(meta, dict):
            super().handle(record)
            return
        if NOT_BEGUN in record.getMessage():
            return
        text = _failure(meta)
        if text:
            # A copy: others keep the record as it is.
            record = copy.copy(record)
            record.msg, record.args, record.exc_info = text, None, None
        super().handle(record)


def show_failures_in_lines() -> None:
    """Lets the console loggers that Dagster makes from now on, one for each run, be RunLogger."""
    logging.setLoggerClass(RunLogger)
    logging.getLogger(_DRIVER).setLevel(logging.ERROR)


def last_line(status: int) -> str:
    """Returns the last line of a terminal's run that failed, or ''."""
    reasons = _joined(*REASONS)
    return f"{FAILED}{reasons}" if status and reasons else ""


def _failure(meta: dict[str, Any]) -> str:
    """Returns the line about a failed step or run that failed for a reason of ours, or ''."""
    event, run_id = meta.get("dagster_event"), str(meta.get("run_id"))
    place = f"{meta.get('job_name')} - {run_id}"
    if getattr(event, "is_step_failure", False):
        said = event.step_failure_data.user_failure_data  # type: ignore[union-attr]
        if said is None or not said.description:
            return ""
        reason = f"{meta.get('step_key')}: {said.description}"
        REASONS[run_id].append(reason)
        return f"{place} - STEP_FAILURE - {reason}"
    if getattr(event, "is_run_failure", False) and REASONS.get(run_id):
        return f"{place} - RUN_FAILURE - {_joined(run_id)}"
    return ""


def _joined(*run_ids: str) -> str:
    return "; ".join(dict.fromkeys(each for run_id in run_ids for each in REASONS[run_id]))
