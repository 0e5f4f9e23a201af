"""Shortens what Dagster prints of a failure to the line that says what, where and what to do.

Of one failed step Dagster prints its error with two stack traces, a line for each step that was not
begun, and the error again at the end. The run's own log in the UI keeps all of it.
"""

import copy
import logging
from typing import Any, Final

_NOT_BEGUN: Final = "Dependencies for step "
# Why steps of this process failed, in their order.
REASONS: Final[list[str]] = []


class RunLogger(logging.Logger):
    """A console logger of Dagster's that shows failures in one line."""

    def handle(self, record: logging.LogRecord) -> None:
        """Shows a record of a run, or another as it is."""
        meta = getattr(record, "dagster_meta", None)
        if not isinstance(meta, dict):
            super().handle(record)
            return
        if _NOT_BEGUN in record.getMessage():
            return
        text = _failure(meta)
        if text:
            # A copy: others keep the record as it is.
            record = copy.copy(record)
            record.msg, record.args, record.exc_info = text, None, None
        super().handle(record)


def last_line(status: int) -> str:
    """Returns the last line of a terminal's run that failed, or ''."""
    return f"failed: {'; '.join(dict.fromkeys(REASONS))}" if status and REASONS else ""


def _failure(meta: dict[str, Any]) -> str:
    """Returns the line about a failed step or run that failed for a reason of ours, or ''."""
    event = meta.get("dagster_event")
    kind = str(getattr(event, "event_type_value", ""))
    place = f"{meta.get('job_name')} - {meta.get('run_id')}"
    if kind == "STEP_FAILURE":
        said = getattr(event.step_failure_data, "user_failure_data", None)  # type: ignore[union-attr]
        if said is None or not said.description:
            return ""
        reason = f"{meta.get('step_key')}: {said.description}"
        REASONS.append(reason)
        return f"{place} - STEP_FAILURE - {reason}"
    if kind == "RUN_FAILURE" and REASONS:
        return f"{place} - RUN_FAILURE - {'; '.join(dict.fromkeys(REASONS))}"
    return ""
