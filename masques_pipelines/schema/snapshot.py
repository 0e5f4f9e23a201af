"""Writes `sql/schema.json`, the schema that the SQL files make on a fresh engine."""

import sys
import tempfile

from masques_pipelines.schema.declared import (
    Declared,
    ObjectSchema,
    declared_schema,
    declared_text,
    live_schema,
)
from masques_pipelines.schema.files import SqlFile, sql_files, views_checksum
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.sql import sql_directory


def declared_by_files(warehouse: Warehouse, files: list[SqlFile], *, before: Declared) -> Declared:
    """Applies all files to an empty warehouse and returns the schema that they make.

    Args:
        warehouse: Without any of our databases.
        files: The SQL files in order.
        before: The declared schema of before: the version of the views grows when they differ.
    """
    objects: dict[str, ObjectSchema] = {}
    created_by: dict[str, int] = {}
    changed_by: dict[str, int] = {}
    for file in files:
        for statement in file.statements(cluster=False):
            warehouse.command(statement)
        now = live_schema(warehouse)
        touched = [name for name in now if objects.get(name) != now[name]]
        changed_by.update(dict.fromkeys(touched, file.version))
        created_by = {**dict.fromkeys(touched, file.version), **created_by}
        objects = now
    checksum = views_checksum(files)
    return Declared(
        objects=objects,
        # A table that a later file drops is in none of them.
        created_by={name: created_by[name] for name in objects},
        changed_by={name: changed_by[name] for name in objects},
        views_version=before.views_version + (checksum != before.views_checksum),
        views_checksum=checksum,
    )


def main() -> None:
    """Writes the file."""
    with tempfile.TemporaryDirectory() as home:
        settings = read_settings({"MASQUES_HOME": home})
        with open_warehouse(settings, origin=Origin(job="make schema")) as warehouse:
            declared = declared_by_files(warehouse, sql_files(), before=declared_schema())
    path = sql_directory() / "schema.json"
    path.write_text(declared_text(declared), encoding="utf-8")
    sys.stdout.write(f"wrote {path} (views version {declared.views_version})\n")


if __name__ == "__main__":
    main()
