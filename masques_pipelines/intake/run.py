"""Loads what is due of one table's folder of the landing zone, and records it.

The next run reads the files that no run has read; the same rows again change nothing.
"""

import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from masques_pipelines.intake.loader import Loader, Source
from masques_pipelines.intake.tables import IntakeTable
from masques_pipelines.landing.fields import Fields
from masques_pipelines.landing.file_log import FAILED, SAME, FileLog, FileResult
from masques_pipelines.landing.zone import (
    SETTLE_S,
    Landing,
    LandingFile,
    content_sha256,
    read_lines,
    settled_files,
)
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import Lease, writer_lease

logger = logging.getLogger(__name__)

# What one run takes of one table at most; the next run takes the rest.
RUN_FILES_MAX: Final = 2_000
RUN_BYTES_MAX: Final = 20 << 30
LOG_EVERY_S: Final = 5.0
LEASE: Final = "intake"


@dataclass
class IntakeResult:
    """What one run did for one table.

    Attributes:
        table: The table.
        files: One result per file that was read.
        files_left: Files that are due and were left to the next run.
        reasons: Why rows and files went to quarantine, with how many did.
        duration_s: How long it took.
    """

    table: IntakeTable
    files: list[FileResult] = field(default_factory=list)
    files_left: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    duration_s: float = 0.0

    def total(self, name: str) -> int:
        """Returns the sum of one count of the files, as in "loaded"."""
        return sum(int(getattr(result, name)) for result in self.files)

    @property
    def files_failed(self) -> int:
        """Files that could not be read to their end."""
        return sum(result.state == FAILED for result in self.files)

    @property
    def rows_per_s(self) -> float:
        """Rows read per second."""
        return self.total("rows_read") / self.duration_s if self.duration_s else 0.0

    @property
    def newest_ns(self) -> int:
        """Time of the newest event among the good rows, 0 when there is none."""
        return max((result.newest_ns for result in self.files), default=0)

    def top_reasons(self, count: int = 5) -> list[tuple[str, int]]:
        """Returns the most frequent reasons, most frequent first."""
        return sorted(self.reasons.items(), key=lambda found: (-found[1], found[0]))[:count]


def load_table(  # noqa: PLR0913 - the limits have defaults; few callers give them
    warehouse: Warehouse,
    landing: Landing,
    table: IntakeTable,
    *,
    settle_s: float = SETTLE_S,
    files_max: int = RUN_FILES_MAX,
    bytes_max: int = RUN_BYTES_MAX,
) -> IntakeResult:
    """Loads the files of a table's folder that no run has read yet.

    Args:
        warehouse: The target.
        landing: The landing zone.
        table: The table.
        settle_s: How long ago a file must have been written.
        files_max: Most files of this run.
        bytes_max: Most bytes of this run, though always at least one file.

    Raises:
        LandingUnavailableError: The landing zone cannot be read for now; files so far are loaded.
        IntakeIncompleteError: The tables do not hold what was read.
        LeaseBusyError, LeaseLostError: Another intake is running on the same server.
        WarehouseTransientError, WarehousePermanentError: From the warehouse.
    """
    started_s = time.monotonic()
    listed = settled_files(landing, table.name, settle_s=settle_s)
    with writer_lease(warehouse, LEASE) as lease:
        log = FileLog(warehouse, table.name)
        due = log.unread(listed)
        taken = _bounded(due, files_max=files_max, bytes_max=bytes_max)
        result = load_files(warehouse, landing, table, taken, log, lease=lease)
    result.files_left = len(due) - len(taken)
    result.duration_s = time.monotonic() - started_s
    return result


def load_files(  # noqa: PLR0913 - what is loaded, where, and under which lease
    warehouse: Warehouse,
    landing: Landing,
    table: IntakeTable,
    files: Sequence[LandingFile],
    log: FileLog,
    *,
    lease: Lease,
) -> IntakeResult:
    """Loads given files, whether they were read before or not; the caller holds the lease."""
    started_s = logged_s = time.monotonic()
    result = IntakeResult(table)
    if not files:
        return result
    with warehouse.second_connection() as helper:
        loader = Loader(warehouse, table, helper=helper, before_batch=lease.hold)
        for ended in loader.load(_sources(landing, files, log, loader.fields)):
            log.record(ended)
            result.files.extend(ended)
            if time.monotonic() - logged_s >= LOG_EVERY_S:
                logged_s = time.monotonic()
                result.duration_s = logged_s - started_s
                logger.info(
                    "%s: %d of %d files, %s rows, %s per s",
                    table.name,
                    len(result.files),
                    len(files),
                    f"{result.total('rows_read'):,}",
                    f"{result.rows_per_s:,.0f}",
                )
    result.reasons = loader.reasons
    result.duration_s = time.monotonic() - started_s
    return result


def _bounded(files: Sequence[LandingFile], *, files_max: int, bytes_max: int) -> list[LandingFile]:
    taken: list[LandingFile] = []
    total_bytes = 0
    for file in files[:files_max]:
        total_bytes += file.bytes
        if taken and total_bytes > bytes_max:
            break
        taken.append(file)
    return taken


def _sources(
    landing: Landing, files: Sequence[LandingFile], log: FileLog, fields: Fields
) -> Iterator[Source]:
    """Yields what to load; a file with the bytes of one that was loaded is not read again."""
    for file in files:
        result = log.begin(file)
        same = log.loaded_of_size(file) if file.bytes and result.attempts == 1 else {}
        if same:
            result.sha256 = content_sha256(landing, file)
        if result.sha256 in same:
            result.state, result.problem = SAME, f"the same bytes as {same[result.sha256]}"
            yield Source(result, ())
            continue
        yield _file_source(landing, file, result, fields)
        log.add_loaded(result)


def _file_source(landing: Landing, file: LandingFile, result: FileResult, fields: Fields) -> Source:
    digest = hashlib.sha256()

    def finish(ended: FileResult) -> None:
        if ended.state != FAILED:
            ended.sha256 = digest.hexdigest()

    return Source(result, read_lines(landing, file, digest, fields), finish)
