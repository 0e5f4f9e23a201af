"""A change of a table, tried on a warehouse that the files before it made and that has rows.

The numbered files after the first ones (LAST_FIRST_FILE) are tried one after the other, each twice,
and a table that one of them makes is filled before the next: nothing has to be added here for one.
What a change must do to the rows that are there (fill a new column, say) is a test of its own.
"""

from collections import Counter
from collections.abc import Sequence

import pytest

from masques_pipelines.schema.files import SqlFile, sql_files
from masques_pipelines.warehouse.client import Warehouse
from tests.support.filled_tables import fill_tables, stored_tables

# The files that made the schema at once; there is no warehouse from before them.
LAST_FIRST_FILE = 11
NUMBERED = [file for file in sql_files() if not file.is_views]
CHANGES = [file for file in NUMBERED if file.version > LAST_FIRST_FILE]

# Tables that a change drops, since others took their place: what they held is computed from events.
DROPPED = {
    "024_reputation_prices.sql": (
        "evidence_log",
        "models",
        "parties",
        "references",
        "touched_events",
        "touched_links",
        "touched_references",
        "touched_transfers",
    )
}


def lost_by(warehouse: Warehouse, change: SqlFile) -> list[str]:
    """Applies a change twice to filled tables; returns a line for each table that lost something.

    A value is lost when a column that was there is not, or holds something else; rows may come. A
    statement touches no table that it does not name.
    """
    fill_tables(warehouse, only_empty=True, named_in=change.text)
    columns = {
        table: described(warehouse, table) for table in stored_tables(warehouse, change.text)
    }
    held = {table: rows_of(warehouse, table, names) for table, names in columns.items()}
    assert all(held.values())
    for _ in range(2):
        warehouse.client.command(change.text)
    left = set(stored_tables(warehouse))
    return [
        f"{table}: {'is gone' if table not in left else 'lost rows, columns or values'}"
        for table, names in columns.items()
        if table not in left
        or not set(names) <= set(described(warehouse, table))
        or Counter(held[table]) - Counter(rows_of(warehouse, table, names))
    ]


def apply(warehouse: Warehouse, files: Sequence[SqlFile]) -> None:
    for file in files:
        warehouse.client.command(file.text)


def described(warehouse: Warehouse, table: str) -> list[str]:
    return [
        str(row[0])
        for row in warehouse.rows(f"DESCRIBE TABLE {table}")
        if row[2] in ("", "DEFAULT")
    ]


def rows_of(warehouse: Warehouse, table: str, names: Sequence[str]) -> list[tuple[object, ...]]:
    values = ", ".join(f"toString({name})" for name in names)
    return warehouse.rows(f"SELECT {values} FROM {table} ORDER BY ALL")


def test_each_change_keeps_every_row(empty_warehouse: Warehouse) -> None:
    apply(empty_warehouse, [file for file in NUMBERED if file not in CHANGES])
    assert {file.name: lost_by(empty_warehouse, file) for file in CHANGES} == {
        file.name: [
            f"masques_ops.reputation_{name}: is gone" for name in DROPPED.get(file.name, ())
        ]
        for file in CHANGES
    }


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        (
            "ALTER TABLE masques_ops.exchange_rates ADD COLUMN IF NOT EXISTS b String DEFAULT 'x'",
            [],
        ),
        ("ALTER TABLE masques_ops.exchange_rates MODIFY COLUMN usd Decimal(76, 18)", []),
        (
            "ALTER TABLE masques_ops.exchange_rates MODIFY COLUMN usd Decimal(38, 0)",
            ["masques_ops.exchange_rates: lost rows, columns or values"],
        ),
        (
            "ALTER TABLE masques_ops.exchange_rates DROP COLUMN IF EXISTS source",
            ["masques_ops.exchange_rates: lost rows, columns or values"],
        ),
        (
            "TRUNCATE TABLE masques_ops.exchange_rates",
            ["masques_ops.exchange_rates: lost rows, columns or values"],
        ),
        (
            "DROP TABLE IF EXISTS masques_ops.exchange_rates",
            ["masques_ops.exchange_rates: is gone"],
        ),
    ],
)
def test_a_change_that_loses_something_is_found(
    empty_warehouse: Warehouse, text: str, lost: list[str]
) -> None:
    apply(empty_warehouse, [file for file in NUMBERED if file.version in (1, 11)])
    assert lost_by(empty_warehouse, SqlFile(80, "080_made_up.sql", text)) == lost
