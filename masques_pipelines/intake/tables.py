"""The tables that the landing zone feeds, one entry each, and the names that belong to each.

What a field means is in sql/intake/rows_of_<table>.sql.
"""

from dataclasses import dataclass
from typing import Final

from masques_pipelines.errors import PermanentError
from masques_pipelines.warehouse.sql import sql


class UnknownTableError(PermanentError):
    """The landing zone feeds no such table."""


@dataclass(frozen=True)
class IntakeTable:
    """One table that is fed from files.

    Attributes:
        name: The table's name, and that of its folder in the landing zone.
        key: The field that names a conflict: `conflict:<key>`.
        event_time: The column of the time when it happened, by which a row is found again.
        identified_by: The columns that tell a row from all others, as `<table>_keys` has them.
        kept_in: The tables that good rows are inserted into, in this order: first the table itself.
            `<table>_keys` reads the last one, so that what a kill leaves out is done again.
        reads_loaded: Whether a row is judged by what is loaded: then no batch is parsed before the
            one before it is loaded.
    """

    name: str
    key: str
    event_time: str
    identified_by: tuple[str, ...]
    kept_in: tuple[tuple[str, str], ...]
    reads_loaded: bool = False

    @property
    def database(self) -> str:
        """The database of the table."""
        return self.kept_in[0][0]

    @property
    def target(self) -> str:
        """The table with its database."""
        return f"{self.database}.{self.name}"

    @property
    def staged(self) -> tuple[str, str]:
        """The tables in masques_ops that hold the parsed rows of a batch, and of the next one."""
        return f"{self.name}_staged", f"{self.name}_staged_next"

    @property
    def key_times(self) -> str:
        """The table in masques_ops of its rows' keys and times, in the order of the keys."""
        return f"{self.name}_key_times"

    @property
    def stage_sql(self) -> str:
        """The statement that splits and parses lines: stage.sql, and in it the table's fields."""
        rows = sql(f"intake/rows_of_{self.name}")
        return sql("intake/stage").replace("/*rows*/", rows)


TABLES: Final = {
    table.name: table
    for table in (
        IntakeTable(
            name="identities",
            key="identity_id",
            event_time="updated_at",
            identified_by=("identity_id", "updated_at"),
            kept_in=(("masques", "identities"), ("masques_ops", "identity_versions")),
            reads_loaded=True,
        ),
        IntakeTable(
            name="masque_sessions",
            key="session_id",
            event_time="donned_at",
            identified_by=("session_id", "report"),
            kept_in=(("masques", "masque_sessions"),),
        ),
        IntakeTable(
            name="api_requests",
            key="request_id",
            event_time="timestamp",
            identified_by=("request_id",),
            kept_in=(("masques", "api_requests"),),
        ),
        IntakeTable(
            name="reputation_events",
            key="event_id",
            event_time="timestamp",
            identified_by=("event_id",),
            kept_in=(("masques", "reputation_events"),),
        ),
        IntakeTable(
            name="payment_links",
            key="transaction_id",
            event_time="timestamp",
            identified_by=("transaction_id",),
            kept_in=(("masques_ops", "payment_links"),),
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
