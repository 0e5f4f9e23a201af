"""The tables that the landing zone feeds, and the names that belong to each.

Here: one entry per table.
Not here: what a field means (sql/transforms/intake/stage_<table>.sql) and loading (loading.py).
A re-run does nothing: these are constants.
"""

from dataclasses import dataclass
from typing import Final

from masques_pipelines.errors import PermanentError


class UnknownTableError(PermanentError):
    """There is no such table in the landing zone."""


@dataclass(frozen=True)
class IntakeTable:
    """One table that is fed from files.

    Attributes:
        name: The table's name, and that of its folder in the landing zone.
        key: The field that names a conflict: `conflict:<key>`.
        event_time: The column that says when it happened, for the newest event and previews.
        publish: Names of the statements below sql/ that put good rows into their tables, in the
            order in which they run. The last one fills the table that `<table>_keys` reads: what a
            kill leaves out is then done again.
    """

    name: str
    key: str
    event_time: str
    publish: tuple[str, ...]

    @property
    def target(self) -> str:
        """The table with its database."""
        return f"masques.{self.name}"

    @property
    def stage(self) -> str:
        """Name of the statement below sql/ that splits and types lines."""
        return f"transforms/intake/stage_{self.name}"


TABLES: Final = {
    table.name: table
    for table in (
        IntakeTable(
            name="identities",
            key="identity_id",
            event_time="updated_at",
            publish=(
                "transforms/intake/publish_identities",
                "transforms/intake/publish_identity_versions",
            ),
        ),
        IntakeTable(
            name="masque_sessions",
            key="session_id",
            event_time="donned_at",
            publish=("transforms/intake/publish_masque_sessions",),
        ),
        IntakeTable(
            name="api_requests",
            key="request_id",
            event_time="timestamp",
            publish=("transforms/intake/publish_api_requests",),
        ),
        IntakeTable(
            name="reputation_events",
            key="event_id",
            event_time="timestamp",
            publish=("transforms/intake/publish_reputation_events",),
        ),
    )
}


def intake_table(name: str) -> IntakeTable:
    """Returns a table by its name.

    Raises:
        UnknownTableError: The landing zone feeds no such table; the text lists those it feeds.
    """
    if name not in TABLES:
        raise UnknownTableError(
            f"{name}: the landing zone feeds no such table; it feeds {', '.join(TABLES)}"
        )
    return TABLES[name]
