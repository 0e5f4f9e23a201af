"""Parts whose files are damaged: taken out of their table, and dropped once their rows are back."""

from collections.abc import Callable

from masques_pipelines.inventory.compare import broken_parts
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql


def detach_broken(warehouse: Warehouse, name: str) -> tuple[str, ...]:
    """Takes the parts of a table out of it whose files are damaged; they stay on the disk.

    Args:
        warehouse: Where the table is.
        name: The table, as `database.table`.

    Returns:
        The parts.
    """
    parts = tuple(broken_parts(warehouse, name))
    for part in parts:
        warehouse.command(f"ALTER TABLE {name} DETACH PART '{part}'")
    return parts


def drop_detached(
    warehouse: Warehouse, name: str, *, is_restored: Callable[[], bool] = lambda: True
) -> tuple[str, ...]:
    """Drops the parts that were put aside of a table, once their rows are there again.

    Args:
        warehouse: Where the table is.
        name: The table, as `database.table`.
        is_restored: Compares the whole table with its source; asked only when there is a part.

    Returns:
        One line for each part: its name, and why it had been put aside.
    """
    lost = warehouse.rows(sql("inventory/lost_parts"))
    parts = [(str(part), str(reason)) for table, part, reason in lost if table == name]
    if not parts or not is_restored():
        return ()
    for part, _reason in parts:
        warehouse.command(
            f"ALTER TABLE {name} DROP DETACHED PART '{part}' SETTINGS allow_drop_detached = 1"
        )
    return tuple(f"{name}: part {part}, which was not read ({reason})" for part, reason in parts)
