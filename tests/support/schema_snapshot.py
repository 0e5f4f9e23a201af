"""Writes `sql/schema.json`: the schema that the migration files make on a fresh engine.

Here: applying the files one by one and noting which file last changed each object.
Not here: any comparison (masques_pipelines/warehouse/schema.py).
A re-run on the same files writes the same bytes; `make schema` calls it.
"""

import sys
import tempfile
from pathlib import Path

from masques_pipelines.schema.declared import Declared, ObjectSchema, declared_text, live_schema
from masques_pipelines.schema.migrations import migration_files
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.sql import sql_directory


def declared_by_files(warehouse: Warehouse) -> str:
    """Returns the content of `sql/schema.json` after applying all files to an empty warehouse."""
    objects: dict[str, ObjectSchema] = {}
    created_by: dict[str, int] = {}
    changed_by: dict[str, int] = {}
    for file in migration_files():
        for statement in file.statements(cluster=False):
            warehouse.command(statement)
        now = live_schema(warehouse)
        touched = [name for name in now if objects.get(name) != now[name]]
        changed_by.update(dict.fromkeys(touched, file.version))
        created_by = {**dict.fromkeys(touched, file.version), **created_by}
        objects = now
    return declared_text(Declared(objects=objects, created_by=created_by, changed_by=changed_by))


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        settings = read_settings({"MASQUES_HOME": home})
        with open_warehouse(settings, origin=Origin(job="make schema")) as warehouse:
            text = declared_by_files(warehouse)
    path = Path(sql_directory()) / "schema.json"
    path.write_text(text, encoding="utf-8")
    sys.stdout.write(f"wrote {path}\n")


if __name__ == "__main__":
    main()
