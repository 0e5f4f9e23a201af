"""Checks the scores; each check lists at most 20 rows that fail it."""

from dataclasses import dataclass
from typing import Any, Final

from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# Within a day; the attacks of docs/reputation.md move a score by less when they are cheap.
MOVE_MAX: Final = 0.08
_SHARES_TOLERANCE: Final = 1e-9
_SHARES: Final = """
SELECT
    model_version,
    m.numbers['share_task_quality'] + m.numbers['share_economic']
        + m.numbers['share_identity_hygiene'] AS shares
FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m
"""


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        name: The name of the check.
        passed: Whether it found nothing.
        is_warning: Whether the scores may be used although it failed.
        rows: What it found, at most 20 rows.
    """

    name: str
    passed: bool
    is_warning: bool
    rows: list[dict[str, Any]]


_LISTS: Final = (
    ("in_range", "reputation/out_of_range", False),
    ("no_future_events", "reputation/future", False),
    ("all_identities_scored", "reputation/unscored", False),
    ("identities_known", "reputation/unknown", True),
    ("moves_within_limit", "reputation/moves", True),
)
NAMES: Final = ("weights_sum_to_one", *(name for name, _, _ in _LISTS))


def check_scores(warehouse: Warehouse) -> list[Finding]:
    """Runs every check."""
    version, shares = warehouse.row(_SHARES)
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
