"""Warehouses that earlier commits filled, migrated by the files since: they answer the same.

A dump is made by tests/support/warehouse_dump.py with the commit that filled it.
"""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from masques_pipelines.schema.files import sql_files
from masques_pipelines.schema.migrations import make_plan, migrate
from masques_pipelines.warehouse.client import Warehouse
from tests.support.warehouse_dump import answer_of, put_rows

DUMPS: Final = sorted((Path(__file__).parents[2] / "data" / "warehouses").glob("*.json.gz"))
# What a later commit answers otherwise on purpose, and why.
CHANGED: Final = {"masques_marts.reputation_contributions": "050: another formula"}

# A migration computes them again, by the formula of today.
COMPUTED: Final = {"masques.reputation_scores"}


def applied(dump: dict[str, Any], warehouse: Warehouse) -> None:
    """Makes the warehouse as it was, with the rows of the dump."""
    records = []
    for file in sql_files():
        if file.version <= dump["newest_file"]:
            for statement in file.statements(cluster=False):
                warehouse.command(statement)
            record = {"version": file.version, "name": file.name, "checksum": file.checksum}
            records.append({**record, "state": "applied"})
    warehouse.insert_json("masques_ops.schema_migrations", records)
    # Rows keep their dates, and the retention of a year would take them in time.
    warehouse.command("SYSTEM STOP TTL MERGES")
    for table, lines in dump["tables"].items():
        put_rows(warehouse, table, lines)
        # Rows that others replace go now, and not at some moment of the test.
        warehouse.command(f"OPTIMIZE TABLE {table} FINAL")


def held(warehouse: Warehouse, dump: dict[str, Any]) -> dict[str, list[str]]:
    """Returns the rows of each table in the columns that it had."""
    return {
        table: answer_of(warehouse, table, list(json.loads(lines.splitlines()[0])))
        for table, lines in dump["tables"].items()
    }


@pytest.mark.parametrize("path", DUMPS, ids=lambda path: path.name)
def test_a_warehouse_of_an_earlier_commit_answers_the_same(
    empty_warehouse: Warehouse, path: Path
) -> None:
    dump = json.loads(gzip.decompress(path.read_bytes()))
    assert dump["newest_file"] == int(path.name[:3])
    applied(dump, empty_warehouse)
    before = held(empty_warehouse, dump)
    newer = [file.name for file in sql_files() if file.version > dump["newest_file"]]
    assert migrate(empty_warehouse) == newer
    assert make_plan(empty_warehouse).is_clean
    try:
        answers = {
            view: answer_of(empty_warehouse, view, was["columns"])
            for view, was in dump["answers"].items()
            if view not in CHANGED
        }
        assert len(answers) > 5
        for view, answer in answers.items():
            assert answer == dump["answers"][view]["rows"], view
        # Whatever the marts leave out is there, too.
        after = held(empty_warehouse, dump)
        lost = {table: Counter(rows) - Counter(after[table]) for table, rows in before.items()}
        assert {table for table, rows in lost.items() if rows} <= COMPUTED
    finally:
        empty_warehouse.command("SYSTEM START TTL MERGES")
