"""The log of the files that were read, one entry per file: masques_ops.intake_files.

A file is recorded after its rows are in their tables. A kill between the two makes the next run
read it again, which changes nothing.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

from masques_pipelines.landing.formats import format_of
from masques_pipelines.landing.zone import LandingFile
from masques_pipelines.warehouse.client import Warehouse

LOADED: Final = "loaded"
FAILED: Final = "failed"
SAME: Final = "same"
_TABLE: Final = "masques_ops.intake_files"
_TIME: Final = "%Y-%m-%d %H:%M:%S"
_OF_FOLDER: Final = """
SELECT path, version, source, state, attempts, bytes, sha256
FROM masques_ops.intake_files FINAL
WHERE folder = {folder:String}
ORDER BY recorded_at"""


@dataclass
class FileResult:
    """What became of one file; the names are the columns of masques_ops.intake_files.

    Every row is accounted for: rows_read = blank + loaded + duplicates + quarantined.
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

    def row(self, recorded_at: datetime) -> dict[str, object]:
        """Returns the entry's values by column."""
        columns = asdict(self)
        newest_ns = columns.pop("newest_ns")
        newest_at = _moment(newest_ns) if newest_ns > 0 else None
        return {**columns, "newest_at": newest_at, "recorded_at": f"{recorded_at:{_TIME}.%f}"}


class FileLog:
    """The entries of one folder, as they were when this object was made.

    One that writes holds its lease before it makes one. `record` may be called from another thread
    than the rest.
    """

    def __init__(self, warehouse: Warehouse, folder: str) -> None:
        """Reads the entries.

        Args:
            warehouse: Where they are.
            folder: A folder of the landing zone: the table, mostly.
        """
        self._warehouse = warehouse
        # By (path, version): the file's name in quarantine, and how often it was read.
        self._read: dict[tuple[str, str], tuple[str, int]] = {}
        self._versions: Counter[str] = Counter()
        # By size: hash and path of files that were loaded.
        self._loaded: dict[int, list[tuple[str, str]]] = {}
        for path, version, source, state, attempts, size, sha256 in warehouse.rows(
            _OF_FOLDER, {"folder": folder}
        ):
            self._read[(path, version)] = (source, int(attempts))
            self._versions[path] += 1
            if state == LOADED and sha256:
                self._loaded.setdefault(int(size), []).append((sha256, path))

    def unread(self, files: Sequence[LandingFile]) -> list[LandingFile]:
        """Returns the files that no run has read yet; one that failed is not read again."""
        return [file for file in files if (file.path, file.version) not in self._read]

    def source_of(self, file: LandingFile) -> str:
        """Returns the file's name in quarantine: a later version under one path gets a tag."""
        if (file.path, file.version) in self._read:
            return self._read[(file.path, file.version)][0]
        if self._versions[file.path] == 0:
            return file.path
        return f"{file.path}@{hashlib.sha256(file.version.encode()).hexdigest()[:8]}"

    def begin(self, file: LandingFile) -> FileResult:
        """Returns the entry of a file that is about to be read, without counts."""
        _source, attempts = self._read.get((file.path, file.version), ("", 0))
        return FileResult(
            folder=file.folder,
            path=file.path,
            version=file.version,
            source=self.source_of(file),
            bytes=file.bytes,
            attempts=attempts + 1,
        )

    def loaded_of_size(self, file: LandingFile) -> dict[str, str]:
        """Returns hash and path of the loaded files that have a file's size and format."""
        return {
            sha256: path
            for sha256, path in self._loaded.get(file.bytes, [])
            if format_of(path) == format_of(file.path)
        }

    def add_loaded(self, result: FileResult) -> None:
        """Notes the content of a file that was read, so that the same bytes are not read again."""
        if result.sha256 and result.state == LOADED:
            self._loaded.setdefault(result.bytes, []).append((result.sha256, result.path))

    def record(self, results: Iterable[FileResult]) -> None:
        """Writes entries; the same entry again replaces itself."""
        record_files(self._warehouse, results)


def record_files(warehouse: Warehouse, results: Iterable[FileResult]) -> None:
    """Writes entries; the same entry again replaces itself."""
    recorded_at = datetime.now(UTC)
    warehouse.insert_json(_TABLE, [result.row(recorded_at) for result in results])


def _moment(time_ns: int) -> str:
    whole_s, rest_ns = divmod(time_ns, 10**9)
    return f"{datetime.fromtimestamp(whole_s, UTC):{_TIME}}.{rest_ns:09d}"
