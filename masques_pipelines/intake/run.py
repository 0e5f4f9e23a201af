"""One table from its folder of the landing zone: what is due, loaded and recorded.

Here: the function that the assets and commands call, and what it returns.
Not here: listing (landing.py), loading (loading.py), the ledger of files (file_ledger.py).
A re-run reads what no run has read to its end; the same rows again change nothing.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from masques_pipelines.intake.loader import Loader, Source
from masques_pipelines.intake.tables import IntakeTable
from masques_pipelines.landing.chunks import Chunk
from masques_pipelines.landing.file_log import (
    FAILED,
    SAME,
    FileResult,
    KnownFiles,
    known_files,
    record_files,
    unread_files,
)
from masques_pipelines.landing.formats import format_of
from masques_pipelines.landing.zone import (
    Landing,
    LandingFile,
    content_sha256,
    read_lines,
    settled_files,
)
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import Lease, writer_lease

# What one run takes of one table at most; the next run takes the rest.
RUN_FILES_MAX: Final = 2_000
RUN_BYTES_MAX: Final = 20 << 30
REPORT_EVERY_S: Final = 5.0
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
    report: Callable[[str], None] = lambda _line: None,
    settle_s: float | None = None,
    files_max: int = RUN_FILES_MAX,
    bytes_max: int = RUN_BYTES_MAX,
) -> IntakeResult:
    """Loads the files of a table's folder that no run has read yet.

    Args:
        warehouse: The target.
        landing: The landing zone.
        table: The table.
        report: Called with one line of progress every REPORT_EVERY_S.
        settle_s: How long ago a file must have been written; None for the usual time.
        files_max: Most files of this run.
        bytes_max: Most bytes of this run, though always at least one file.

    Raises:
        LandingUnavailableError: The landing zone cannot be read for now; files so far are loaded.
        IntakeIncompleteError: The tables do not hold what was read.
        LeaseBusyError, LeaseLostError: Another intake is at work on the same server.
        WarehouseTransientError, WarehousePermanentError: From the warehouse.
    """
    started_s = time.monotonic()
    listed = (
        settled_files(landing, table.name)
        if settle_s is None
        else settled_files(landing, table.name, settle_s=settle_s)
    )
    with writer_lease(warehouse, LEASE) as lease:
        known = known_files(warehouse, table.name)
        due = unread_files(known, listed)
        taken = _bounded(due, files_max=files_max, bytes_max=bytes_max)
        result = load_files(warehouse, landing, table, taken, known, lease=lease, report=report)
    result.files_left = len(due) - len(taken)
    result.duration_s = time.monotonic() - started_s
    return result


def load_files(  # noqa: PLR0913 - what is loaded, where, and under which lease
    warehouse: Warehouse,
    landing: Landing,
    table: IntakeTable,
    files: Sequence[LandingFile],
    known: KnownFiles,
    *,
    lease: Lease,
    report: Callable[[str], None] = lambda _line: None,
) -> IntakeResult:
    """Loads given files, whether they were read before or not; the caller holds the lease."""
    started_s = said_s = time.monotonic()
    result = IntakeResult(table)
    if not files:
        return result
    with warehouse.second_connection() as helper:
        loader = Loader(warehouse, table, helper=helper, before_batch=lease.hold)
        for ended in loader.load(_sources(landing, files, known, result.files)):
            record_files(warehouse, ended)
            result.files.extend(ended)
            now_s = time.monotonic()
            if now_s - said_s >= REPORT_EVERY_S:
                said_s = now_s
                rows = result.total("rows_read")
                report(
                    f"{table.name}: {len(result.files)} of {len(files)} files, {rows:,} rows, "
                    f"{rows / (now_s - started_s):,.0f} per s"
                )
    record_files(warehouse, [one for one in result.files if one.state == SAME])
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
    landing: Landing,
    files: Sequence[LandingFile],
    known: KnownFiles,
    same: list[FileResult],
) -> Iterator[Source]:
    """Yields what to load. A file with the content of one that was loaded is not read again."""
    seen: dict[int, list[tuple[str, str]]] = {
        size: list(found) for size, found in known.by_size.items()
    }
    for file in files:
        _source, attempts = known.read.get((file.path, file.version), ("", 0))
        result = FileResult(
            folder=file.folder,
            path=file.path,
            version=file.version,
            source=known.source_of(file),
            bytes=file.bytes,
            attempts=attempts + 1,
        )
        kind = format_of(file.path)
        twins = [one for one in seen.get(file.bytes, []) if format_of(one[1]) == kind]
        if twins and file.bytes and not attempts:
            result.sha256 = content_sha256(landing, file)
            twin = next((path for sha256, path in twins if sha256 == result.sha256), None)
            if twin is not None:
                result.state, result.problem = SAME, f"the same bytes as {twin}"
                same.append(result)
                continue
        source = _file_source(landing, file, result)
        yield source
        if result.sha256 and result.state != FAILED:
            seen.setdefault(file.bytes, []).append((result.sha256, file.path))


def _file_source(landing: Landing, file: LandingFile, result: FileResult) -> Source:
    digest = hashlib.sha256()

    def chunks() -> Iterator[Chunk]:
        yield from read_lines(landing, file, digest)

    def finish(ended: FileResult) -> None:
        if ended.state != FAILED:
            ended.sha256 = digest.hexdigest()

    return Source(result, chunks(), finish)
