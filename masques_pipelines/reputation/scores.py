"""Refreshes the scores: one full computation by the refreshable view, swapped in as a whole.

A refresh that fails or is killed leaves the previous scores in place; the next run removes the
table that it was filling.
"""

import logging
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from masques_pipelines.schema.migrations import SCORES_VIEW
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.refreshable import is_refreshing, refresh_and_wait
from masques_pipelines.warehouse.sql import sql

MOVERS_SHOWN: Final = 5
_BAR_LENGTH: Final = 30
# A refresh computes into such a table and swaps it in at its end.
_LEFTOVERS: Final = """
SELECT name FROM system.tables WHERE database = 'masques' AND startsWith(name, '.tmp') ORDER BY name
"""
_DISTRIBUTION: Final = """
SELECT least(9, toUInt8(floor(overall_score * 10))) AS tenth, count() AS identities
FROM masques.reputation_scores FINAL
GROUP BY tenth
ORDER BY tenth
"""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refresh:
    """The result of a refresh.

    Attributes:
        identities: Identities with a score.
        with_evidence: Identities with any evidence.
        computed_at: The moment that the scores are of.
        events: Events in the window, excluded ones included.
        excluded_events: Events that count zero.
        unpriced: Payments behind the events without an exchange rate.
        model_version: The model that made the scores.
        leftovers: Tables of killed refreshes that were removed.
        duration_s: How long it took.
    """

    identities: int
    with_evidence: int
    computed_at: datetime
    events: int
    excluded_events: int
    unpriced: int
    model_version: str
    leftovers: int
    duration_s: float


def refresh_scores(warehouse: Warehouse) -> Refresh:
    """Computes all scores, waits for them and adds them to the history.

    Raises:
        WarehousePermanentError: The computation failed; the text is the engine's.
        NotRefreshedError: The view is stopped by something else, or is gone.
    """
    started_s = time.monotonic()
    leftovers = clear_leftovers(warehouse)
    if leftovers:
        logger.info("removed %d tables that killed refreshes left behind", leftovers)
    refresh_and_wait(warehouse, SCORES_VIEW)
    warehouse.command(sql("reputation/write_history"))
    row = warehouse.row(sql("reputation/scores_summary"))
    return Refresh(
        identities=int(row[0]),
        computed_at=row[1],
        with_evidence=int(row[2]),
        events=int(row[3]),
        excluded_events=int(row[4]),
        model_version=str(row[5]),
        unpriced=int(warehouse.scalar(sql("reputation/unpriced"))),
        leftovers=leftovers,
        duration_s=time.monotonic() - started_s,
    )


def clear_leftovers(warehouse: Warehouse) -> int:
    """Removes the tables of killed refreshes; returns their number.

    A server may be refreshing at this moment: then a table is in use, and the server removes it.
    """
    if is_refreshing(warehouse, SCORES_VIEW):
        return 0
    names = [str(row[0]) for row in warehouse.rows(_LEFTOVERS)]
    for name in names:
        warehouse.command("DROP TABLE IF EXISTS masques.{name:Identifier} SYNC", {"name": name})
    return len(names)


def distribution(warehouse: Warehouse) -> str:
    """Returns a histogram of the scores as Markdown, under 1000 characters.

    Dagster's UI shows longer Markdown as a link.
    """
    rows = warehouse.rows(_DISTRIBUTION)
    counts = {int(tenth): int(identities) for tenth, identities in rows}
    most = max(counts.values(), default=1)
    lines = [
        f"{tenth / 10:.1f}-{(tenth + 1) / 10:.1f} "
        f"{'█' * round(_BAR_LENGTH * counts.get(tenth, 0) / most)} {counts.get(tenth, 0):,}"
        for tenth in range(10)
    ]
    return "\n".join(["```", *lines, "```"])


def movers(warehouse: Warehouse) -> list[dict[str, object]]:
    """Returns the scores that moved most within a week, the largest move first."""
    return warehouse.records(sql("reputation/movers"), {"rows": MOVERS_SHOWN})
