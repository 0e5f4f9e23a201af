"""Takes losses and changes that nothing restores for accepted, with who says so and why."""

import functools
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

from masques_pipelines.inventory.compare import compare_content, kept_from, mutations
from masques_pipelines.inventory.detached import drop_detached
from masques_pipelines.inventory.tables import Table
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql


def accept(warehouse: Warehouse, table: Table, *, by: str, reason: str) -> tuple[str, ...]:
    """Takes what a table has now for what was written, and notes who said so; the writers wait.

    Returns:
        What was wrong with the table until now; nothing changes when it is empty.
    """
    found = compare_content(warehouse, table, everything=True).findings
    changed = _changes_of(warehouse, table.name)
    if not found and not changed:
        return ()
    today = date.fromisoformat(str(warehouse.row(sql("inventory/now"))[1]))
    warehouse.command(
        sql("inventory/accept"),
        {
            "database": "masques_ops",
            "view": table.view,
            "table": table.name,
            "write_id": str(uuid.uuid4()),
            "kept_from": kept_from(table, today),
        },
    )
    _note(warehouse, table.name, by, reason, (*found, *changed))
    return (*found, *changed)


def accept_changes(warehouse: Warehouse, name: str, *, by: str, reason: str) -> tuple[str, ...]:
    """Takes statements that changed rows of another table for seen, and notes who said so.

    Returns:
        The statements.
    """
    changed = _changes_of(warehouse, name)
    if changed:
        _note(warehouse, name, by, reason, changed)
    return changed


def accept_restored(
    warehouse: Warehouse, name: str, *, by: str, is_restored: Callable[[], bool]
) -> tuple[str, ...]:
    """Takes what was wrong with a table for put right once it is what was written again.

    Statements that changed rows are accepted, and parts that were put aside are dropped.

    Args:
        warehouse: Where the table is.
        name: The table, as `database.table`.
        by: The command that restored it.
        is_restored: Compares the whole table with its source; asked once, and only when there is
            something to put right.

    Returns:
        The statements, and a line for each part.
    """
    is_whole = functools.cache(is_restored)
    accepted: tuple[str, ...] = ()
    if _changes_of(warehouse, name) and is_whole():
        reason = "restored: the whole table has the content that was written"
        accepted = accept_changes(warehouse, name, by=by, reason=reason)
    return accepted + drop_detached(warehouse, name, is_restored=is_whole)


def _changes_of(warehouse: Warehouse, name: str) -> tuple[str, ...]:
    return tuple(line for line in mutations(warehouse) if line.startswith(f"{name}: "))


def _note(warehouse: Warehouse, name: str, by: str, reason: str, findings: Sequence[str]) -> None:
    warehouse.insert_rows(
        "masques_ops.inventory_accepted",
        ["table_name", "accepted_by", "reason", "findings", "accepted_at"],
        [[name, by, reason, list(findings), datetime.now(UTC)]],
    )
