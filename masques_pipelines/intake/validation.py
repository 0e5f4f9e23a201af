"""Dry-runs a file: reports what would be loaded or quarantined, without a warehouse.

The file is loaded by the real intake into an empty engine in a temporary folder, so only repeats
within the file are found.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from masques_pipelines.intake.run import LEASE, IntakeResult, load_files
from masques_pipelines.intake.tables import intake_table
from masques_pipelines.landing.file_log import FileLog
from masques_pipelines.landing.zone import LandingFile, open_landing
from masques_pipelines.quarantine import Selection, entries
from masques_pipelines.settings import Settings, read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.lease import writer_lease
from masques_pipelines.warehouse.sql import split_statements, sql_directory

# The files of the schema that the intake needs; making all of it would take most of the time.
_SCHEMA_FILES: Final = ("001", "002", "005", "006", "007", "009", "092")


@dataclass
class Validation:
    """The outcome of a dry run.

    Attributes:
        result: The counts.
        bad: The first rejected rows: line_no (0 for the whole file), reason, raw, and more.
    """

    result: IntakeResult
    bad: list[dict[str, object]] = field(default_factory=list)


def validate_file(path: Path, table: str, *, bad_max: int) -> Validation:
    """Loads a file into an empty engine and returns what became of its rows.

    Args:
        path: The file; its name gives format and compression.
        table: The table that it is meant for.
        bad_max: Most rejected rows to return.

    Raises:
        UnknownTableError: There is no such table.
        LandingUnavailableError: The file cannot be read.
    """
    found = intake_table(table)
    with tempfile.TemporaryDirectory(prefix="masques-validate-") as home:
        landing = open_landing(_settings(Path(home), path.parent))
        stat = os.stat(path) if path.is_file() else None  # noqa: PTH116 - None when it is missing
        file = LandingFile(table, path.name, "validate", stat.st_size if stat else 0, 0.0)
        with _engine(Path(home)) as warehouse:
            with writer_lease(warehouse, LEASE) as lease:
                log = FileLog(warehouse, table)
                result = load_files(warehouse, landing, found, [file], log, lease=lease)
            bad = entries(warehouse, Selection(table), limit=bad_max)
    return Validation(result, bad)


@contextlib.contextmanager
def _engine(home: Path) -> Iterator[Warehouse]:
    with open_warehouse(_settings(home, home), origin=Origin(job="masques intake validate")) as it:
        for path in sorted(sql_directory().glob("0*.sql")):
            if path.name.startswith(_SCHEMA_FILES):
                for statement in split_statements(path.read_text(encoding="utf-8"), name=path.name):
                    it.command(statement)
        yield it


def _settings(home: Path, landing: Path) -> Settings:
    return read_settings({"MASQUES_HOME": str(home), "MASQUES_LANDING_URL": str(landing.resolve())})
