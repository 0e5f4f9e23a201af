"""Checks what the newest comparison found: breaks without a note, unread sides, the position."""

from dataclasses import dataclass
from typing import Any, Final

from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

NO_CRITICAL: Final = "no_critical_breaks"
NO_OTHER: Final = "no_other_breaks"
IN_TIME: Final = "breaks_in_time"
ALL_READ: Final = "all_sides_read"
MONEY_IS_THERE: Final = "money_is_there"
NAMES: Final = (NO_CRITICAL, NO_OTHER, IN_TIME, ALL_READ, MONEY_IS_THERE)
# Rails become final within 20 minutes; files of the gate come by the quarter of an hour.
UNREAD_MOST_S: Final = 2 * 3600
_POSITION: Final = """
SELECT asset, toString(owed) AS owed, toString(treasury) AS treasury, toString(settled) AS settled,
    toString(on_rails) AS on_rails, toString(unbooked) AS unbooked,
    toString(moved_unseen) AS moved_unseen, toString(uncovered) AS uncovered, state,
    arrayStringConcat(sides, '; ') AS sides
FROM masques_marts.position ORDER BY asset
"""


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        name: One of NAMES.
        rows: What is wrong; empty when nothing is.
        is_warning: Whether somebody should look at it, rather than come at once.
    """

    name: str
    rows: list[dict[str, Any]]
    is_warning: bool

    @property
    def passed(self) -> bool:
        """Says that nothing is wrong."""
        return not self.rows


def breaks_by_class(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Returns the open breaks by class and currency: number, money at risk, ages."""
    return warehouse.records(sql("reconciliation/breaks_by_class"))


def position(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Returns what is owed and what is there, by asset."""
    return warehouse.records(_POSITION)


def check_payments(warehouse: Warehouse) -> list[Finding]:
    """Returns the findings of all checks."""
    classes = breaks_by_class(warehouse)
    open_ones = [each for each in classes if each["without_note"]]
    unread = warehouse.records(sql("reconciliation/unread_sides"), {"most_s": UNREAD_MOST_S})
    differing = [each for each in position(warehouse) if each["state"] == "differs"]
    return [
        Finding(
            NO_CRITICAL, [c for c in open_ones if c["severity"] == "critical"], is_warning=False
        ),
        Finding(NO_OTHER, [c for c in open_ones if c["severity"] != "critical"], is_warning=True),
        Finding(IN_TIME, [c for c in classes if c["overdue"]], is_warning=True),
        Finding(ALL_READ, unread, is_warning=True),
        Finding(MONEY_IS_THERE, differing, is_warning=False),
    ]
