"""What Dagster prints of a failure is one line: what, where and what to do."""

import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from masques_pipelines.commands import run_log
from masques_pipelines.commands.run_log import RunLogger, last_line

REASON = "http://db:8123: cannot connect: is it up?"


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture(autouse=True)
def _no_reasons() -> Iterator[None]:
    run_log.REASONS.clear()
    yield
    run_log.REASONS.clear()


def shown(*records: tuple[str, str, str]) -> list[str]:
    """Returns what a console shows of records: kind of event, message, and what a failure says."""
    logger, kept = RunLogger("dagster"), Kept()
    logger.addHandler(kept)
    for kind, message, said in records:
        record = logger.makeRecord("dagster", logging.ERROR, "", 0, message, (), None)
        record.dagster_meta = meta(kind, said)
        logger.handle(record)
        assert record.msg == message  # others keep it as it is
    return kept.lines


def meta(kind: str, said: str) -> dict[str, Any]:
    failure = SimpleNamespace(user_failure_data=SimpleNamespace(description=said) if said else None)
    event = SimpleNamespace(event_type_value=kind, step_failure_data=failure) if kind else None
    return {"dagster_event": event, "job_name": "job", "run_id": "7", "step_key": "accounts"}


def test_a_failure_of_ours_is_one_line_and_the_last_one_says_it() -> None:
    assert last_line(1) == ""
    assert shown(
        ("", "reading", ""),
        ("STEP_FAILURE", "Execution of step failed.\n\nStack Trace:\n  File", REASON),
        ("", "Dependencies for step b failed: ['accounts']. Not executing.", ""),
        ("RUN_FAILURE", "Execution of run failed. Steps failed: ['accounts'].", ""),
    ) == [
        "reading",
        f"job - 7 - STEP_FAILURE - accounts: {REASON}",
        f"job - 7 - RUN_FAILURE - accounts: {REASON}",
    ]
    assert last_line(1) == f"failed: accounts: {REASON}"
    assert last_line(0) == ""


def test_a_failure_that_is_not_ours_keeps_its_trace() -> None:
    trace = "Execution of step failed.\n\nKeyError: 'x'\n\nStack Trace:\n  File"
    assert shown(("STEP_FAILURE", trace, "")) == [trace]
    assert last_line(1) == ""
