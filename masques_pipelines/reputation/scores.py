"""Refreshing the scores: one full computation, swapped in whole.

Here: driving the refreshable view, its errors, its leftovers, and the history by day.
Not here: the computation (sql/014_evidence.sql), the facts it reads (facts.py).
A re-run computes everything anew. A refresh that fails or is killed leaves the scores of the one
before as they were; the table it was filling is removed by the next run.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from masques_pipelines.schema.migrations import SCORES_VIEW
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.refreshable import is_refreshing, refresh_and_wait
from masques_pipelines.warehouse.sql import sql

MOVERS_SHOWN: Final = 5
_BAR_LENGTH: Final = 30


@dataclass(frozen=True)
class Refresh:
    """What a refresh made.

    Attributes:
        identities: How many have a score.
        with_evidence: How many of them have any evidence.
        computed_at: The moment the scores are of.
        events: Events in the window, excluded ones among them.
        excluded_events: Events that count zero.
        unpriced: Payments behind them without an exchange rate.
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


def refresh_scores(
    warehouse: Warehouse, *, report: Callable[[str], None] = lambda _line: None
) -> Refresh:
    """Computes all scores anew, waits for them and adds them to the history.

    Raises:
        WarehousePermanentError: The computation failed; the text is the engine's.
        NotRefreshedError: The view is stopped by something else, or is gone.
    """
    started_s = time.monotonic()
    leftovers = clear_leftovers(warehouse)
    if leftovers:
        report(f"removed {leftovers} tables that killed refreshes left behind")
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
    """Removes what killed refreshes left in the database; returns how many tables that were.

    A server may be refreshing by itself at this moment: then its table is in use, and it clears up
    after itself.
    """
    if is_refreshing(warehouse, SCORES_VIEW):
        return 0
    names = [str(row[0]) for row in warehouse.rows(sql("reputation/leftovers"))]
    for name in names:
        warehouse.command("DROP TABLE IF EXISTS masques.{name:Identifier} SYNC", {"name": name})
    return len(names)


def distribution(warehouse: Warehouse) -> str:
    """Returns a plot of how the scores are distributed, as Markdown, under 1000 characters.

    Longer Markdown is shown as a link by Dagster's UI.
    """
    rows = warehouse.rows(sql("reputation/distribution"))
    counts = {int(tenth): int(identities) for tenth, identities in rows}
    most = max(counts.values(), default=1)
    lines = [
        f"{tenth / 10:.1f}-{(tenth + 1) / 10:.1f} "
        f"{'█' * round(_BAR_LENGTH * counts.get(tenth, 0) / most)} {counts.get(tenth, 0):,}"
        for tenth in range(10)
    ]
    return "\n".join(["```", *lines, "```"])


def movers(warehouse: Warehouse) -> list[dict[str, object]]:
    """Returns the scores that moved most within a week, the largest first."""
    return warehouse.records(sql("reputation/movers"), {"rows": MOVERS_SHOWN})
