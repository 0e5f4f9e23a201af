"""Writes a small dump of a filled warehouse, with what the marts of its commit say of it.

`python -m tests.support.warehouse_dump WAREHOUSE OUT.json.gz`, in the checkout that filled the
warehouse, so that schema and views are those of its commit: some rows of each table, and the
answers of each mart that asks for no parameter and no clock, over just these rows.
"""

import gzip
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from masques_pipelines.schema.files import sql_files
from masques_pipelines.schema.migrations import migrate
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse

ROWS: Final = 25
_TABLES: Final = (
    "SELECT concat(database, '.', name) FROM system.tables "
    "WHERE database IN ('masques', 'masques_ops') AND endsWith(engine, 'MergeTree') "
    "AND total_rows > 0 AND name != 'schema_migrations' ORDER BY 1"
)
_VIEWS: Final = (
    "SELECT concat(database, '.', name), create_table_query FROM system.tables "
    "WHERE database IN ('masques_ops', 'masques_marts') AND engine = 'View'"
)
_EXACT: Final = {
    "output_format_json_quote_64bit_integers": 1,
    "output_format_json_quote_decimals": 1,
    "output_format_json_quote_denormals": 1,
}
_CHANGES_BY_ITSELF: Final = re.compile(r"\b(now|now64|today|rand\w*|generateUUIDv4)\(|\{\w+:")


def lines_of(warehouse: Warehouse, query: str) -> str:
    """Returns rows as lines of JSON; digests are bytes that are no text, and stay what they are."""
    answer = warehouse.client.raw_query(f"{query} FORMAT JSONEachRow", settings=_EXACT, fmt=None)
    return answer.decode("utf-8", "surrogateescape")


def put_rows(warehouse: Warehouse, table: str, lines: str) -> None:
    """Puts such lines into a table, in the place of what is there."""
    warehouse.command(f"TRUNCATE TABLE {table}")
    block = lines.encode("utf-8", "surrogateescape")
    warehouse.client.raw_insert(table, insert_block=block, fmt="JSONEachRow")


def answer_of(warehouse: Warehouse, view: str, columns: list[str]) -> list[str]:
    """Returns what a view says, line by line."""
    query = f"SELECT {', '.join(columns)} FROM {view} ORDER BY ALL"
    return lines_of(warehouse, query).splitlines()


def answers_of(warehouse: Warehouse) -> dict[str, Any]:
    """Returns what the marts say that depend on nothing but rows."""
    texts: dict[str, str] = dict(warehouse.rows(_VIEWS))

    def whole(name: str, seen: set[str]) -> str:
        if name in seen or name not in texts:
            return ""
        seen.add(name)
        below = set(re.findall(r"masques_(?:ops|marts)\.\w+", texts[name]))
        return texts[name] + "".join(whole(each, seen) for each in below)

    found = {}
    for view in sorted(texts):
        if view.startswith("masques_marts.") and not _CHANGES_BY_ITSELF.search(whole(view, set())):
            columns = [str(name) for name, *_ in warehouse.rows(f"DESCRIBE TABLE {view}")]
            rows = answer_of(warehouse, view, columns)
            if rows:
                found[view] = {"columns": columns, "rows": rows}
    return found


def _opened(folder: Path) -> Any:
    settings = read_settings({"MASQUES_HOME": str(folder)})
    return open_warehouse(settings, origin=Origin(job="tests"))


def main(source: Path, out: Path) -> None:
    """Writes the dump."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("copy", "sample"):
            (Path(folder) / name).mkdir()
        shutil.copytree(source, Path(folder) / "copy" / "warehouse", symlinks=True)
        with _opened(Path(folder) / "copy") as warehouse:
            tables = {
                name: lines_of(warehouse, f"SELECT * FROM {name} LIMIT {ROWS}")
                for (name,) in warehouse.rows(_TABLES)
            }
        with _opened(Path(folder) / "sample") as warehouse:
            migrate(warehouse)
            for name, lines in tables.items():
                put_rows(warehouse, name, lines)
            answers = answers_of(warehouse)
    newest = max(file.version for file in sql_files() if not file.is_views)
    dump = {"newest_file": newest, "tables": tables, "answers": answers}
    with gzip.GzipFile(str(out), "wb", 9, mtime=0) as file:
        file.write(json.dumps(dump, separators=(",", ":")).encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
