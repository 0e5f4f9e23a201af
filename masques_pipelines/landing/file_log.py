"""Which files of the landing zone were read, and what came of them.

Here: the questions and the entries of masques_ops.intake_files.
Not here: listing files (landing.py) and loading them (loading.py).
A re-run finds what was recorded. A file is recorded after its rows are in their tables, so a kill
between the two only makes the next run read it again, which changes nothing.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from masques_pipelines.landing.zone import LandingFile
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

LOADED: Final = "loaded"
FAILED: Final = "failed"
SAME: Final = "same"
_COLUMNS: Final = (
    "folder",
    "path",
    "version",
    "source",
    "bytes",
    "sha256",
    "state",
    "problem",
    "rows_read",
    "blank",
    "loaded",
    "duplicates",
    "quarantined",
    "conflicts",
    "unknown_fields",
    "newest_at",
    "attempts",
    "recorded_at",
)


@dataclass
class FileResult:
    """What became of one file; the names are the columns of masques_ops.intake_files.

    The rows are all accounted for: rows_read = blank + loaded + duplicates + quarantined.
    """

    folder: str
    path: str
    version: str
    source: str
    bytes: int = 0
    sha256: str = ""
    state: str = LOADED
    problem: str = ""
    rows_read: int = 0
    blank: int = 0
    loaded: int = 0
    duplicates: int = 0
    quarantined: int = 0
    conflicts: int = 0
    unknown_fields: int = 0
    newest_ns: int = 0
    attempts: int = 1

    def values(self, recorded_at: datetime) -> list[object]:
        """Returns the entry in the order of the table's columns."""
        newest_us = self.newest_ns // 1000
        newest_at = datetime.fromtimestamp(newest_us / 1e6, UTC) if self.newest_ns > 0 else None
        found: dict[str, object] = {"newest_at": newest_at, "recorded_at": recorded_at}
        return [found.get(name, getattr(self, name, None)) for name in _COLUMNS]


@dataclass(frozen=True)
class KnownFiles:
    """What the ledger has of one folder.

    Attributes:
        read: By (path, version): the file's name in quarantine, and how often it was read.
        versions: By path: how many versions were read.
        by_size: By size: (sha256, path) of files that were loaded.
    """

    read: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    by_size: dict[int, list[tuple[str, str]]] = field(default_factory=dict)

    def source_of(self, file: LandingFile) -> str:
        """Returns the file's name in quarantine: a later version under one path gets a tag."""
        if (file.path, file.version) in self.read:
            return self.read[(file.path, file.version)][0]
        if self.versions.get(file.path, 0) == 0:
            return file.path
        return f"{file.path}@{hashlib.sha256(file.version.encode()).hexdigest()[:8]}"


def known_files(warehouse: Warehouse, folder: str) -> KnownFiles:
    """Returns what was read of a folder before."""
    known = KnownFiles()
    for path, version, source, state, attempts, size, sha256 in warehouse.rows(
        sql("intake/known_files"), {"folder": folder}
    ):
        known.read[(path, version)] = (source, int(attempts))
        known.versions[path] = known.versions.get(path, 0) + 1
        if state == LOADED and sha256:
            known.by_size.setdefault(int(size), []).append((sha256, path))
    return known


def unread_files(known: KnownFiles, files: Sequence[LandingFile]) -> list[LandingFile]:
    """Returns the files that no run has read to their end; one that failed is not read again."""
    return [file for file in files if (file.path, file.version) not in known.read]


def record_files(warehouse: Warehouse, results: Iterable[FileResult]) -> None:
    """Enters files; the same entry again replaces itself."""
    recorded_at = datetime.now(UTC)
    warehouse.insert_rows(
        "masques_ops.intake_files",
        _COLUMNS,
        [result.values(recorded_at) for result in results],
    )
