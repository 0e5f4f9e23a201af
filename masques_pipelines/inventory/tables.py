"""The tables whose rows are counted when they are written."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Table:
    """A table that only grows, and what each write added to it.

    Attributes:
        name: As `database.table`.
        asset: The table that people know: its own name, or the one that it stands for.
        kept_years: After how many years rows are removed by the engine; 0 for never.
        restored_by: The command that loads its rows again from their source.
        asset_database: The database of `asset`.
    """

    name: str
    asset: str
    kept_years: int
    restored_by: str
    asset_database: str = "masques"

    @property
    def view(self) -> str:
        """The view in masques_ops that shows its rows as they are counted."""
        return f"inventory_of_{self.name.partition('.')[2]}"


REQUESTS: Final = Table(
    "masques.api_requests", "api_requests", 1, "masques intake reload --table api_requests"
)
SESSIONS: Final = Table(
    "masques.masque_sessions", "masque_sessions", 2, "masques intake reload --table masque_sessions"
)
EVENTS: Final = Table(
    "masques.reputation_events",
    "reputation_events",
    3,
    "masques intake reload --table reputation_events, and masques reputation recompute for the "
    "pipeline's own",
)
VERSIONS: Final = Table(
    "masques_ops.identity_versions", "identities", 0, "masques intake reload --table identities"
)
SETTLEMENTS: Final = Table(
    "masques.settlements",
    "settlements",
    7,
    "masques rails rewind to before the time of the rows, then settlement_ingestion_job",
)
LINKS: Final = Table(
    "masques_ops.payment_links",
    "payment_links",
    7,
    "masques intake reload --table payment_links",
    asset_database="masques_ops",
)
NOTES: Final = Table(
    "masques_ops.break_notes",
    "breaks",
    0,
    "masques restore: a backup is the only other place that has what people said",
    asset_database="masques_marts",
)
POSITIONS: Final = Table(
    "masques_ops.positions",
    "position",
    7,
    "masques restore: what was known at an earlier time cannot be computed again",
    asset_database="masques_marts",
)
TABLES: Final = (VERSIONS, SESSIONS, REQUESTS, EVENTS, SETTLEMENTS, LINKS, NOTES, POSITIONS)
# The tables whose rows the landing zone brings, by their name.
BY_ASSET: Final = {table.asset: table for table in TABLES}
# The writer of `reputation_events` that derives them from the other tables.
PIPELINE: Final = "pipeline"
