"""How errors become Dagster's: one line, retried only when transient, nothing kept open between."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from masques_pipelines.defs import failures
from masques_pipelines.errors import MasquesError, PermanentError, TransientError
from masques_pipelines.warehouse.errors import WarehouseBusyError
from tests.support.code_location import defs
from tests.support.migrated_folder import copy_migrated
from tests.support.paths import ROOT
from tests.support.patience import run_python


class Resource(dg.ConfigurableResource[Any]):
    """Stands where the warehouse does and notes what is asked of it."""

    def release(self) -> None:
        ASKED.append("release")


ASKED: list[str] = []


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(failures, "RETRY_PAUSES_S", (0.0, 0.0))
    ASKED.clear()
    yield
    ASKED.clear()


def run(*errors: MasquesError | None) -> dg.ExecuteInProcessResult:
    """An asset whose attempts end with these errors, or without one."""
    left = list(errors)

    @dg.asset
    @failures.explained
    def table(context: dg.AssetExecutionContext, warehouse: Resource) -> None:
        ASKED.append("attempt")
        error = left.pop(0)
        if error is not None:
            raise error

    return dg.materialize([table], resources={"warehouse": Resource()}, raise_on_error=False)


def failure_of(result: dg.ExecuteInProcessResult) -> str | None:
    (event,) = (event for event in result.all_node_events if event.is_step_failure)
    data = event.step_failure_data.user_failure_data
    return data.description if data else None


def test_a_transient_error_is_tried_again_with_the_warehouse_closed_meanwhile() -> None:
    assert run(TransientError("the node is down"), None).success
    assert ASKED == ["attempt", "release", "attempt"]


def test_the_last_attempts_error_is_the_failure() -> None:
    result = run(*(TransientError(f"down, {number}") for number in range(3)))
    assert failure_of(result) == "down, 2"
    assert ASKED.count("attempt") == 3


# Sleeping, it asks in a process of its own, as somebody at a terminal would.
PAUSES = """
import subprocess, sys, types
import dagster as dg
from masques_pipelines.defs import failures
from masques_pipelines.defs.resources import WarehouseResource
from masques_pipelines.errors import TransientError

def ask(pause_s):
    asked = subprocess.run(
        [sys.executable, "-m", "masques_pipelines", "sql", "SELECT 'asked'"],
        capture_output=True, text=True, timeout=pause_s,
    )
    print(asked.returncode, asked.stdout, asked.stderr)

failures.RETRY_PAUSES_S = (500.0,)
failures.time = types.SimpleNamespace(sleep=ask)
left = [TransientError("the node is down")]

@dg.asset
@failures.explained
def table(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> None:
    print("attempt", warehouse.open(context).scalar("SELECT 1"))
    if left:
        raise left.pop()

result = dg.materialize([table], resources={"warehouse": WarehouseResource()})
print("success", result.success)
"""


def test_another_process_reads_the_embedded_warehouse_during_the_pause(
    small_capture: Path, tmp_path: Path
) -> None:
    copy_migrated(tmp_path / "warehouse")
    ledger = f"capture://{small_capture}"
    settings = {
        "MASQUES_HOME": str(tmp_path),
        "MASQUES_LEDGER_URL": ledger,
        "PYTHONPATH": str(ROOT),
    }
    done = run_python(PAUSES, cwd=tmp_path, env={**os.environ, **settings})
    said = done.stdout.split()
    assert said[:3] == ["attempt", "1", "0"], done.stderr
    assert "asked" in done.stdout
    assert said[-4:] == ["attempt", "1", "success", "True"]


@pytest.mark.parametrize("error", [PermanentError("wrong"), WarehouseBusyError("in use")])
def test_other_errors_are_not_tried_again(error: MasquesError) -> None:
    assert failure_of(run(error)) == str(error)
    assert ASKED == ["attempt"]


def test_nothing_has_a_retry_policy_which_would_retry_an_interrupt() -> None:
    jobs = [job for job in defs.resolve_all_job_defs() if not job.name.startswith("__")]
    nodes = [node for job in jobs for node in job.all_node_defs]
    assert len(nodes) > 20
    assert [node.name for node in nodes if getattr(node, "retry_policy", None)] == []
