"""Bringing the schema up to date: which files are due, running them, and refusing what is unclear.

Here: the plan (files against the record against the live schema), and its execution.
Not here: the comparison of schemas (schema.py), cutting a file into statements (sql_files.py), and
Dagster (defs/migrations.py).
A re-run applies what is due and nothing else. Every statement of every file may run again, so a
file that a killed run left half-applied is simply applied again.
"""

import hashlib
import importlib.metadata
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from masques_pipelines.errors import PermanentError
from masques_pipelines.schema.declared import (
    Declared,
    ObjectSchema,
    declared_schema,
    differences,
    live_schema,
)
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import cluster_form, split_statements, sql, sql_directory

_FILE_NAME: Final = re.compile(r"^(\d{3})_[a-z0-9_]+\.sql$")
_FILES: Final = "[0-9][0-9][0-9]_*.sql"
_RECORD: Final = "masques_ops.schema_migrations"
_DATABASES_VERSION: Final = 1
_RECORD_VERSION: Final = 7
_DIFFERENCES_SHOWN: Final = 10
_REPLICATED_DATABASES: Final = ("Replicated", "Shared")


class MigrationError(PermanentError):
    """The schema cannot be brought up to date; the text names the file or object and what to do."""


@dataclass(frozen=True)
class MigrationFile:
    """One numbered file of `sql/`."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def statements(self, *, cluster: bool) -> list[str]:
        """Returns the file's statements, in the form for a single server or for a cluster."""
        text = cluster_form(self.text) if cluster else self.text
        return split_statements(text, name=self.name)


@dataclass(frozen=True)
class Recorded:
    """The newest word of the record on one file."""

    version: int
    name: str
    checksum: str
    state: str
    project_version: str
    recorded_at: str


@dataclass(frozen=True)
class Plan:
    """What bringing the schema up to date would do.

    Attributes:
        pending: Files to apply, in order; half-applied ones among them.
        half_applied: One line for each file that was begun and not finished. It is applied again.
        refusals: One line for each reason not to touch the database. Empty when all is clear.
        drift: One line for each way in which a live object differs from its definition.
    """

    pending: tuple[MigrationFile, ...] = ()
    half_applied: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    drift: tuple[str, ...] = field(default=())

    @property
    def is_clean(self) -> bool:
        """True when nothing is due and nothing is wrong."""
        return not (self.pending or self.refusals or self.drift)


def migration_files(folder: Path | None = None) -> list[MigrationFile]:
    """Returns the numbered files of `sql/` in order.

    Raises:
        MigrationError: A name is malformed, or two files have one number.
    """
    files: list[MigrationFile] = []
    for path in sorted((folder or sql_directory()).glob(_FILES)):
        match = _FILE_NAME.match(path.name)
        if match is None:
            raise MigrationError(
                f"{path.name}: a migration is named like 012_lower_case.sql; rename the file"
            )
        version = int(match[1])
        if files and files[-1].version == version:
            raise MigrationError(
                f"{path.name}: {files[-1].name} has the number {version} already; renumber one"
            )
        files.append(MigrationFile(version, path.name, path.read_text(encoding="utf-8")))
    return files


def make_plan(warehouse: Warehouse, files: Sequence[MigrationFile] | None = None) -> Plan:
    """Compares the files, the record and the live schema; changes nothing.

    Args:
        warehouse: Any state, also without any of our databases.
        files: The numbered files; None for those of the project.
    """
    known = list(files) if files is not None else migration_files()
    live = live_schema(warehouse)
    recorded = _recorded(warehouse) if _RECORD in live else {}
    pending, half_applied = _pending(known, recorded)
    return Plan(
        pending=tuple(pending),
        half_applied=tuple(half_applied),
        refusals=(*_refusals(known, recorded), *_cluster_refusals(warehouse)),
        drift=tuple(_drift(warehouse, declared_schema(), live, pending)),
    )


def migrate(
    warehouse: Warehouse,
    *,
    files: Sequence[MigrationFile] | None = None,
    report: Callable[[str], None] = lambda _line: None,
) -> list[str]:
    """Applies every file that is due and returns their names, in order.

    Objects that another tool made from the same files (the `clickhouse-client` loop of the README)
    are adopted: their files run again, which changes nothing, and are recorded.

    Args:
        warehouse: Where.
        files: The numbered files; None for those of the project.
        report: Called with one line of progress per file.

    Raises:
        MigrationError: A file was edited after it was applied or is missing, the record knows files
            that this project does not, or a live object differs from its definition.
    """
    plan = make_plan(warehouse, files)
    if plan.refusals:
        raise MigrationError("; ".join(plan.refusals))
    if plan.drift:
        raise MigrationError(_drift_text(plan.drift))
    if not plan.pending:
        return []
    for line in plan.half_applied:
        report(line)
    _bootstrap(warehouse, list(files) if files is not None else migration_files())
    for file in plan.pending:
        _record(warehouse, file, "started")
        for number, statement in enumerate(_statements(warehouse, file), start=1):
            try:
                warehouse.command(statement)
            except PermanentError as error:
                raise MigrationError(f"{file.name}: statement {number}: {error}") from error
        _record(warehouse, file, "applied")
        report(f"applied {file.name}")
    left = _drift(warehouse, declared_schema(), live_schema(warehouse), [])
    if left:
        raise MigrationError(_drift_text(left))
    return [file.name for file in plan.pending]


def _recorded(warehouse: Warehouse) -> dict[int, Recorded]:
    rows = warehouse.rows(sql("schema/recorded"))
    return {int(row[0]): Recorded(int(row[0]), *(str(value) for value in row[1:])) for row in rows}


def _pending(
    known: Sequence[MigrationFile], recorded: dict[int, Recorded]
) -> tuple[list[MigrationFile], list[str]]:
    pending = [
        file
        for file in known
        if file.version not in recorded or recorded[file.version].state != "applied"
    ]
    half_applied = [
        f"{file.name}: was begun at {recorded[file.version].recorded_at} and not finished; "
        "it is applied again"
        for file in pending
        if file.version in recorded
    ]
    return pending, half_applied


def _refusals(known: Sequence[MigrationFile], recorded: dict[int, Recorded]) -> list[str]:
    by_version = {file.version: file for file in known}
    newest_known = max(by_version, default=0)
    found: list[str] = []
    for version, entry in recorded.items():
        file = by_version.get(version)
        if file is None and version > newest_known:
            found.append(
                f"{entry.name}: applied by project version {entry.project_version}, which is newer "
                "than this checkout; update the checkout"
            )
        elif file is None:
            found.append(
                f"{entry.name}: applied at {entry.recorded_at} but missing from sql/; restore it"
            )
        elif file.name != entry.name:
            found.append(
                f"{file.name}: number {version} was applied as {entry.name}; rename the file back"
            )
        elif entry.state == "applied" and file.checksum != entry.checksum:
            found.append(
                f"{file.name}: was edited after it was applied at {entry.recorded_at}; restore it "
                "and put the change into a new file"
            )
    return found


def _cluster_refusals(warehouse: Warehouse) -> list[str]:
    """Finds what would make the cluster form take effect on one node only, without an error."""
    if warehouse.cluster is None:
        return []
    rows = warehouse.rows(sql("schema/cluster"))
    clusters = [str(name) for what, name, _ in rows if what == "cluster"]
    found = [
        f"{name}: is a database of engine {engine}, which carries nothing to other replicas; "
        "move it away, or unset MASQUES_CLICKHOUSE_CLUSTER"
        for what, name, engine in rows
        if what == "database" and engine not in _REPLICATED_DATABASES
    ]
    if warehouse.cluster not in clusters:
        found.append(
            f"MASQUES_CLICKHOUSE_CLUSTER: the server knows no cluster {warehouse.cluster!r}, only "
            f"{', '.join(clusters) or 'none'}; give a name from system.clusters"
        )
    return found


def _drift(
    warehouse: Warehouse,
    declared: Declared,
    live: dict[str, ObjectSchema],
    pending: Sequence[MigrationFile],
) -> list[str]:
    """Returns how live objects differ, leaving out what the pending files are yet to make.

    An object that exists although its file is pending was made by another hand: it must match
    before it is adopted, unless a second file is yet to change it.
    """
    due = {file.version for file in pending}

    def is_settled(name: str) -> bool:
        created_by, changed_by = declared.created_by[name], declared.changed_by[name]
        return changed_by not in due or (name in live and created_by == changed_by)

    expected = {name: schema for name, schema in declared.objects.items() if is_settled(name)}
    return differences(warehouse, expected, live)


def _drift_text(drift: Sequence[str]) -> str:
    more = len(drift) - _DIFFERENCES_SHOWN
    listed = "; ".join(drift[:_DIFFERENCES_SHOWN]) + (f"; and {more} more" if more > 0 else "")
    return (
        f"the live schema differs from its definition: {listed}. Put it back by hand, or move the "
        "object away and run again; `masques migrate --check` lists every difference"
    )


def _bootstrap(warehouse: Warehouse, files: Sequence[MigrationFile]) -> None:
    """Makes the databases and the record itself, from the files' own statements."""
    by_version = {file.version: file for file in files}
    for statement in _statements(warehouse, by_version[_DATABASES_VERSION]):
        warehouse.command(statement)
    warehouse.command(_statements(warehouse, by_version[_RECORD_VERSION])[0])


def _statements(warehouse: Warehouse, file: MigrationFile) -> list[str]:
    return file.statements(cluster=warehouse.cluster is not None)


def _record(warehouse: Warehouse, file: MigrationFile, state: str) -> None:
    warehouse.insert_rows(
        _RECORD,
        ["version", "name", "checksum", "state", "project_version", "recorded_at"],
        [
            [
                file.version,
                file.name,
                file.checksum,
                state,
                importlib.metadata.version("masques-pipelines"),
                datetime.now(UTC),
            ]
        ],
    )
