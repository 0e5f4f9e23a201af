"""Writes down what operators did to the copy: who, what and why."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

from masques_pipelines.warehouse.client import Warehouse

_TABLE: Final = "masques_ops.operator_log"


@dataclass(frozen=True)
class Action:
    """One action that was done.

    Attributes:
        action: What was done, as the column of masques_ops.operator_log names it.
        subject: What it was done to.
        done_by: Who did it.
        reason: Why.
        outcome: What came of it.
        run_id: The run of Dagster; empty for a command.
    """

    action: str
    subject: str
    done_by: str
    reason: str
    outcome: str
    run_id: str = ""


def write_down(warehouse: Warehouse, action: Action) -> None:
    """Appends an action to the log."""
    now = datetime.now(UTC)
    row = {"done_at": f"{now:%Y-%m-%d %H:%M:%S.%f}", **asdict(action)}
    warehouse.insert_json(_TABLE, [row])
