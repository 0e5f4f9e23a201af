"""Dry-runs a file: reports what would be loaded or quarantined, without a warehouse.

The file is loaded by the real intake into an empty engine in a temporary folder, so only repeats
within the file are found.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from masques_pipelines.intake.run import LEASE, IntakeResult, load_uncounted
from masques_pipelines.intake.tables import TABLES, intake_table
from masques_pipelines.landing.file_log import FileLog
from masques_pipelines.landing.listing import shown
from masques_pipelines.landing.zone import LandingFile, open_landing
from masques_pipelines.quarantine import Selection, entries
from masques_pipelines.schema.files import sql_files
from masques_pipelines.settings import Settings, read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.lease import writer_lease

_OF_ALL_TABLES: Final = tuple(
    f"masques_ops.{name}"
    for name in (
        "quarantine",
        "intake_files",
        "intake_candidates",
        "intake_known",
        "intake_repeats",
        "landing_channels",
        "landing_channels_current",
        "reputation_model",
        "reputation_model_versions",
    )
)
# The first name of one of our objects in a statement is what it makes or changes.
_OBJECT: Final = re.compile(r"\bmasques(?:_ops)?\.\w+")


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
        LandingUnavailableError: This machine is short of something.
    """
    found = intake_table(table)
    path = path.resolve()
    with tempfile.TemporaryDirectory(prefix="masques-validate-") as home:
        landing = open_landing(_settings(Path(home), path.parent))
        stat = os.stat(path) if path.is_file() else None  # noqa: PTH116 - None when it is missing
        size = stat.st_size if stat else 0
        file = LandingFile(table, shown(path.name), "validate", size, 0.0, stored_path=path.name)
        with _engine(Path(home)) as warehouse:
            with writer_lease(warehouse, LEASE) as lease:
                log = FileLog(warehouse, table)
                result = load_uncounted(warehouse, landing, found, [file], log, lease=lease)
            bad = entries(warehouse, Selection(table), limit=bad_max)
    return Validation(result, bad)


@contextlib.contextmanager
def _engine(home: Path) -> Iterator[Warehouse]:
    """Opens an empty engine with what the intake writes and reads, and no more of the schema."""
    wanted = _wanted_objects()
    with open_warehouse(_settings(home, home), origin=Origin(job="masques intake validate")) as it:
        for file in sql_files():
            for statement in file.statements(cluster=False):
                made = _OBJECT.search(statement)
                if made is None or made[0] in wanted:
                    it.command(statement)
        yield it


def _wanted_objects() -> set[str]:
    """Returns the tables and views of the intake; making all would take most of the time."""
    names = {*_OF_ALL_TABLES}
    for table in TABLES.values():
        names |= {f"{database}.{name}" for database, name in table.kept_in}
        names |= {
            f"masques_ops.{name}" for name in (*table.staged, table.key_times, f"{table.name}_keys")
        }
    return names


def _settings(home: Path, landing: Path) -> Settings:
    return read_settings({"MASQUES_HOME": str(home), "MASQUES_LANDING_URL": str(landing.resolve())})
