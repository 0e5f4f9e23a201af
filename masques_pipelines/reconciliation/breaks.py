"""Lists open breaks, and writes down what people say of them.

A note changes nothing of the money: a break is closed only by facts.
"""

import uuid
from datetime import UTC, datetime
from typing import Any, Final, Literal

from masques_pipelines.errors import PermanentError
from masques_pipelines.inventory.tables import NOTES
from masques_pipelines.inventory.writes import counted
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import writer_lease
from masques_pipelines.warehouse.sql import sql

State = Literal["acknowledged", "explained", "written_off"]
STATES: Final[tuple[State, ...]] = ("acknowledged", "explained", "written_off")
LEGS: Final = ("gate", "rail")
# Notes are counted as they are written: one at a time.
NOTES_LEASE: Final = "notes"


class BreakError(PermanentError):
    """There is no such break, or several; the text says what to do."""


def open_breaks(
    warehouse: Warehouse,
    *,
    break_class: str = "",
    owner: str = "",
    state: str = "",
    item_id: uuid.UUID | None = None,
) -> list[dict[str, Any]]:
    """Returns the open breaks, the worst first.

    Args:
        warehouse: Holds them.
        break_class: Only those of this class.
        owner: Only those of this owner.
        state: Only those in this state: open, or one of STATES.
        item_id: Only those of this payment.
    """
    return warehouse.records(
        sql("reconciliation/open_breaks"),
        {
            "class": break_class,
            "owner": owner,
            "state": state,
            "item_id": "" if item_id is None else str(item_id),
        },
    )


def write_note(  # noqa: PLR0913 - what a note consists of, by name
    warehouse: Warehouse,
    item_id: uuid.UUID,
    *,
    state: State,
    note: str,
    by: str,
    leg: str = "",
) -> str:
    """Appends a note to an open break and returns its leg.

    Args:
        warehouse: Takes the note.
        item_id: The payment.
        state: What becomes of the break: see STATES.
        note: Why.
        by: Who says it.
        leg: Which of its two breaks; needed only when both legs are broken.

    Raises:
        LeaseBusyError: Another note is being written, for a minute and more.
        BreakError: The payment has no such open break, or one on each leg and leg is not given.
    """
    if not note.strip() or not by.strip():
        raise BreakError(f"{item_id}: a note needs a reason and a name: say why, and who says it")
    legs = [str(each["leg"]) for each in open_breaks(warehouse, item_id=item_id)]
    chosen = [each for each in legs if leg in ("", each)]
    if not chosen:
        raise BreakError(
            f"{item_id}: has no open break{f' at the {leg}' if leg else ''}: "
            "`masques breaks list` shows those that are open"
        )
    if len(chosen) > 1:
        raise BreakError(f"{item_id}: is broken at the gate and on the rail: say which with --leg")
    with writer_lease(warehouse, NOTES_LEASE), counted(warehouse, NOTES):
        warehouse.command(
            sql("reconciliation/write_note"),
            {
                "item_id": str(item_id),
                "leg": chosen[0],
                "state": state,
                "note": note.strip(),
                "by": by.strip(),
                "said_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
            },
        )
    return chosen[0]
