"""Warehouses that earlier commits filled, migrated by the files since: they answer the same.

A dump is made by tests/support/warehouse_dump.py with the commit that filled it.
"""

import gzip
import itertools
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
# What a later file lets a mart answer otherwise on purpose: its number, and why.
CHANGED: Final = {
    "masques_marts.reputation_contributions": (50, "another formula"),
    "masques_marts.reputation_ranking": (24, "another formula; no status, as only the active rank"),
}
# Before it, several files came with one commit.
STRICT_SINCE: Final = 50

# A migration computes them again, by the formula of today.
COMPUTED: Final = {"masques.reputation_scores"}
# What a file drops is a model, or what is made again from the tables that stay.
DROPPED: Final = {
    f"masques_ops.reputation_{name}"
    for name in (
        *("models", "parties", "references", "evidence_log"),
        *("touched_transfers", "touched_references", "touched_links", "touched_events"),
    )
}


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
    """Returns the rows of each table that is not computed, in the columns that it had."""
    return {
        table: answer_of(warehouse, table, list(json.loads(lines.splitlines()[0])))
        for table, lines in dump["tables"].items()
        if table not in COMPUTED | DROPPED
    }


def test_each_numbered_file_has_a_dump_of_the_commit_before_it() -> None:
    """Who adds one makes a dump first (CONTRIBUTING.md)."""
    versions = [file.version for file in sql_files() if not file.is_views]
    dumped = {int(path.name[:3]) for path in DUMPS}
    pairs = itertools.pairwise(versions)
    needed = {before for before, version in pairs if version > STRICT_SINCE}
    assert needed <= dumped


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
            if CHANGED.get(view, (0, ""))[0] <= dump["newest_file"]
        }
        assert len(answers) > 5
        for view, answer in answers.items():
            assert answer == dump["answers"][view]["rows"], view
        # Whatever the marts leave out is there, too.
        after = held(empty_warehouse, dump)
        lost = {table: Counter(rows) - Counter(after[table]) for table, rows in before.items()}
        assert {table: rows for table, rows in lost.items() if rows} == {}
    finally:
        empty_warehouse.command("SYSTEM START TTL MERGES")
