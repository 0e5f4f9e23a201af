"""What Dagster prints of a failure is one line: what, where and what to do."""

import logging
from collections.abc import Iterator

import dagster as dg
import pytest

from masques_pipelines.definitions import defs as definitions
from masques_pipelines.defs import failures, run_log
from masques_pipelines.defs.run_log import last_line, show_failures_in_lines
from masques_pipelines.errors import PermanentError

REASON = "http://db:8123: cannot connect: is it up?"


@pytest.fixture(autouse=True)
def _in_lines() -> Iterator[None]:
    usual = logging.getLoggerClass()
    run_log.REASONS.clear()
    show_failures_in_lines()
    yield
    run_log.REASONS.clear()
    logging.setLoggerClass(usual)


def shown(error: Exception, capfd: pytest.CaptureFixture[str]) -> list[str]:
    """Returns what the console shows of a run whose first step of two fails."""

    @dg.asset
    @failures.explained
    def accounts(context: dg.AssetExecutionContext) -> None:
        context.log.warning("reading")
        raise error

    @dg.asset(deps=[accounts])
    def transactions() -> None: ...

    dg.materialize([accounts, transactions], raise_on_error=False)
    lines = capfd.readouterr().err.splitlines()
    return [line for line in lines if " - DEBUG - " not in line]


def test_a_failure_of_ours_is_one_line_and_the_last_one_says_it(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert last_line(1) == ""
    reading, step, run = shown(PermanentError(REASON), capfd)
    assert reading.endswith("accounts - reading")
    assert step.endswith(f" - STEP_FAILURE - accounts: {REASON}")
    assert run.endswith(f" - RUN_FAILURE - accounts: {REASON}")
    assert last_line(1) == f"failed: accounts: {REASON}"
    assert last_line(0) == ""


def test_a_run_says_its_own_reason_only(capfd: pytest.CaptureFixture[str]) -> None:
    shown(PermanentError("of another run"), capfd)
    assert "another" not in shown(PermanentError(REASON), capfd)[-1]


def test_a_failure_that_is_not_ours_keeps_its_trace(capfd: pytest.CaptureFixture[str]) -> None:
    lines = shown(KeyError("x"), capfd)
    assert any("KeyError: 'x'" in line for line in lines)
    assert any(line.strip().startswith("File ") for line in lines)
    assert last_line(1) == ""


def test_to_load_the_code_location_is_enough() -> None:
    logging.setLoggerClass(logging.Logger)
    definitions()
    assert logging.getLoggerClass() is run_log.RunLogger
