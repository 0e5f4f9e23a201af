"""Checks what the newest comparison found: breaks by class, unread sides, the position, the log."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from masques_pipelines.errors import SettingError
from masques_pipelines.settings import BreakLimit
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# Their severity, owner and deadline: masques_marts.break_classes, which has the same classes.
CLASSES: Final = (
    "settlement_failed",
    "unsettled_transfer",
    "unbooked_settlement",
    "paid_twice",
    "currency_mismatch",
    "amount_mismatch",
    "party_mismatch",
    "unexplained_charge",
    "paid_not_served",
    "served_not_paid",
    "unbooked_request",
    "stale_hold",
    "outcome_unknown",
)
IN_TIME: Final = "closed_in_time"
ALL_READ: Final = "all_sides_read"
LOG_AGREES: Final = "log_agrees"
MONEY_IS_THERE: Final = "money_is_there"
# Of masques_marts.break_classes: breaks of any other severity fail the check.
_WARNED_OF: Final = ("major", "minor")
NAMES: Final = (*CLASSES, IN_TIME, ALL_READ, LOG_AGREES, MONEY_IS_THERE)
# Rails become final within 20 minutes; files of the gate come by the quarter of an hour.
UNREAD_MOST_S: Final = 2 * 3600
# Everything is compared once a day; two hours for a run that waits or is long.
FULL_MOST_S: Final = 26 * 3600
_CORRECTED_SHOWN: Final = 20
_POSITION: Final = """
SELECT asset, toString(owed) AS owed, toString(treasury) AS treasury, toString(settled) AS settled,
    toString(on_rails) AS on_rails, toString(unbooked) AS unbooked, toString(in_time) AS in_time,
    toString(broken) AS broken, toString(unexplained) AS unexplained,
    toString(moved_unseen) AS moved_unseen, toString(uncovered) AS uncovered, state,
    arrayStringConcat(sides, '; ') AS sides
FROM masques_marts.position ORDER BY asset
"""
_NEVER_COMPARED: Final = "nothing was compared yet: run reconciliation_job"


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        name: One of NAMES.
        rows: What is wrong; empty when nothing is.
        is_warning: Whether somebody should look at it, rather than come at once.
        text: What was compared, or why it says nothing.
    """

    name: str
    rows: list[dict[str, Any]]
    is_warning: bool
    text: str = ""

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


def check_payments(warehouse: Warehouse, limits: Iterable[BreakLimit] = ()) -> list[Finding]:
    """Returns the findings of all checks.

    Args:
        warehouse: Holds what was compared.
        limits: Up to where breaks of a class without a note are no alert; by default none are.

    Raises:
        SettingError: There is no such class.
    """
    by_class = {limit.break_class: limit for limit in limits}
    for name in by_class.keys() - set(CLASSES):
        raise SettingError(
            f"MASQUES_BREAK_LIMITS: {name!r} is not a class of breaks: the classes are "
            f"{', '.join(CLASSES)}"
        )
    last = warehouse.records(sql("reconciliation/last_full"))
    classes = breaks_by_class(warehouse)
    unread = warehouse.records(sql("reconciliation/unread_sides"), {"most_s": UNREAD_MOST_S})
    if not last:
        unread = [{"side": "all", "problem": _NEVER_COMPARED}]
    differing = [each for each in position(warehouse) if each["state"] == "differs"]
    return [
        *(_of_class(name, classes, by_class.get(name)) for name in CLASSES),
        Finding(IN_TIME, [c for c in classes if c["overdue"]], is_warning=True),
        Finding(ALL_READ, unread, is_warning=True),
        _log_agrees(warehouse, last),
        Finding(MONEY_IS_THERE, differing, is_warning=False),
    ]


def _of_class(name: str, classes: list[dict[str, Any]], limit: BreakLimit | None) -> Finding:
    """Compares the breaks of a class that nobody has written a note of with its limit."""
    rows = [each for each in classes if each["class"] == name and each["without_note"]]
    breaks = sum(int(each["without_note"]) for each in rows)
    is_known = all(each["unnoted_usd"] is not None for each in rows)
    usd = sum((Decimal(each["unnoted_usd"]) for each in rows if is_known), Decimal(0))
    hours = max((int(each["unnoted_hours"]) for each in rows), default=0)
    worth = f"{usd.normalize():f} USD" if is_known else "money without an exchange rate"
    text = f"{breaks} without a note, {worth} at risk, the oldest found {hours} hours ago"
    is_within = limit is not None and (
        breaks <= limit.breaks and is_known and usd <= limit.usd and hours <= limit.hours
    )
    is_warning = all(each["severity"] in _WARNED_OF for each in rows)
    return Finding(name, [] if is_within else rows, is_warning, text)


def _log_agrees(warehouse: Warehouse, last: list[dict[str, Any]]) -> Finding:
    """Says what the newest comparison of everything found besides what was new."""
    if not last:
        return Finding(LOG_AGREES, [{"problem": _NEVER_COMPARED}], is_warning=True)
    [run] = last
    at, reason, corrected = run["began_at"], run["reason"], run["corrected"]
    problems: list[dict[str, Any]] = []
    if int(run["age_s"]) > FULL_MOST_S:
        problems = [{"problem": f"everything was last compared at {at}, not within a day"}]
    elif reason == "damaged":
        problems = [{"problem": f"the log was not what the last run had left; made good at {at}"}]
    elif corrected:
        problems = warehouse.records(
            sql("reconciliation/corrected"), {"began_at": at, "most": _CORRECTED_SHOWN}
        )
    text = (
        f"inconclusive: everything was compared at {at} ({reason}), without comparing what was "
        "new before; the next daily comparison says more"
        if corrected is None
        else f"everything was compared at {at} ({reason}): {corrected} rows corrected"
    )
    return Finding(LOG_AGREES, problems, is_warning=True, text=text)
