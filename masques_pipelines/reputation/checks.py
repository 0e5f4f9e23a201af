"""What must hold of the scores.

Here: asking each question; an answer lists at most 20 findings.
Not here: Dagster's side of the checks (defs/reputation/reputation_scores.py).
A re-run asks again; nothing here writes.
"""

from dataclasses import dataclass
from typing import Any, Final

from masques_pipelines.warehouse.sql_files import sql
from masques_pipelines.warehouse.warehouse import Warehouse

# Within a day; the attacks of docs/reputation.md move a score by less when they are cheap.
MOVE_MAX: Final = 0.08
_SHARES_TOLERANCE: Final = 1e-9


@dataclass(frozen=True)
class Finding:
    """The answer to one check.

    Attributes:
        name: The property, as in `reputation_scores__<name>`.
        passed: Whether it holds.
        is_warning: Whether a person should look, while the scores may be used.
        rows: What does not hold, at most 20.
    """

    name: str
    passed: bool
    is_warning: bool
    rows: list[dict[str, Any]]


_LISTS: Final = (
    ("in_range", "checks/reputation/out_of_range", False),
    ("no_future_events", "checks/reputation/future", False),
    ("all_identities_scored", "checks/reputation/unscored", False),
    ("identities_known", "checks/reputation/unknown", True),
    ("moves_within_limit", "checks/reputation/moves", True),
    ("no_payment_rings", "checks/reputation/rings", True),
)
NAMES: Final = ("weights_sum_to_one", *(name for name, _, _ in _LISTS))


def check_scores(warehouse: Warehouse) -> list[Finding]:
    """Asks everything."""
    version, shares = warehouse.row(sql("checks/reputation/shares"))
    adds_up = abs(float(shares) - 1) <= _SHARES_TOLERANCE
    findings = [
        Finding(
            "weights_sum_to_one",
            passed=adds_up,
            is_warning=False,
            rows=[] if adds_up else [{"model_version": version, "shares": shares}],
        )
    ]
    for name, query, is_warning in _LISTS:
        rows = warehouse.records(sql(query), {"limit": MOVE_MAX})
        findings.append(Finding(name, passed=not rows, is_warning=is_warning, rows=rows))
    return findings
