"""Loads what is due of one table's folder of the landing zone, and records it.

The next run reads the files that no run has read; the same rows again change nothing.
"""

import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from masques_pipelines.intake.batches import Source
from masques_pipelines.intake.channels import ONE_CHANNEL, Channels, record_channels
from masques_pipelines.intake.loader import Loader
from masques_pipelines.intake.restore import Restored
from masques_pipelines.intake.retention import forget_old
from masques_pipelines.intake.tables import IntakeTable
from masques_pipelines.inventory.compare import damaged
from masques_pipelines.inventory.tables import BY_ASSET, Table
from masques_pipelines.inventory.writes import counted, open_writes
from masques_pipelines.landing.chunks import FileProblemError
from masques_pipelines.landing.dates import days_ago
from masques_pipelines.landing.fields import Fields
from masques_pipelines.landing.file_log import (
    FAILED,
    REWRITTEN,
    SAME,
    FileLog,
    FileResult,
    last_listed_s,
    record_listed,
)
from masques_pipelines.landing.listing import SETTLE_S, PassedOver, list_folder, list_strays
from masques_pipelines.landing.zone import Landing, LandingFile, content_sha256, read_lines
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import Lease, writer_lease

logger = logging.getLogger(__name__)

# What one run takes of one table at most; the next run takes the rest.
RUN_FILES_MAX: Final = 2_000
RUN_BYTES_MAX: Final = 20 << 30
# Folders of days before these are looked into when they have changed, and by a day's first run.
RECENT_DAYS: Final = 3
# By so much the clock of a file system may be behind; and a file that waits, waits no longer.
CHANGED_WITHIN_S: Final = 3600.0
LOG_EVERY_S: Final = 5.0
LEASE: Final = "intake"


@dataclass
class IntakeResult:
    """What one run did for one table.

    Attributes:
        table: The table.
        files: One result per file that was read.
        files_left: Files that are due and were left to the next run.
        passed_over: What is in the table's folders and is not read, with the reason.
        strays: What is in no reader's folder.
        waiting: Files that are still being written, or may be.
        unlisted: Folders of older days that were not looked into this time.
        reasons: Why rows and files went to quarantine, with how many did.
        duration_s: How long it took.
        restored: What a reload of the whole table found and put right; None of other runs.
    """

    table: IntakeTable
    files: list[FileResult] = field(default_factory=list)
    files_left: int = 0
    passed_over: list[PassedOver] = field(default_factory=list)
    strays: list[PassedOver] = field(default_factory=list)
    waiting: int = 0
    unlisted: list[str] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    duration_s: float = 0.0
    restored: Restored | None = None

    def add(self, other: "IntakeResult") -> None:
        """Adds the files of another run to this one."""
        self.files += other.files
        self.duration_s += other.duration_s
        for reason, rows in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + rows

    def total(self, name: str) -> int:
        """Returns the sum of one count of the files, as in "loaded"."""
        return sum(int(getattr(result, name)) for result in self.files)

    @property
    def files_failed(self) -> int:
        """Files that could not be read to their end."""
        return sum(result.state == FAILED for result in self.files)

    @property
    def files_rewritten(self) -> int:
        """Files that have other bytes than they had with the same size and time."""
        return sum(result.problem.startswith(REWRITTEN) for result in self.files)

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
    channels: Channels = ONE_CHANNEL,
    settle_s: float = SETTLE_S,
    files_max: int = RUN_FILES_MAX,
    bytes_max: int = RUN_BYTES_MAX,
    recent_days: int | None = None,
) -> IntakeResult:
    """Loads the files of a table that no run has read yet, and records what is passed over.

    Args:
        warehouse: The target.
        landing: The landing zone.
        table: The table.
        channels: Who delivers where, and what they may.
        settle_s: How long ago a file must have been written.
        files_max: Most files of this run.
        bytes_max: Most bytes of this run, though always at least one file.
        recent_days: Folders that are named by days before these are looked into by the first run
            of a day only. None: those before RECENT_DAYS, and where the landing zone tells that
            files came or went, by every run.

    Raises:
        LandingUnavailableError: The landing zone cannot be listed for now; files so far are loaded.
        LandingMissingError: There is no landing zone.
        IntakeIncompleteError: The tables do not hold what was read.
        LeaseBusyError, LeaseLostError: Another intake is running on the same server.
        WarehouseTransientError, WarehousePermanentError: From the warehouse.
    """
    started_s = time.monotonic()
    within = channels.folders(table.name)
    # The first run of a day looks into all folders: what came late to one of before is read then.
    listed_s = last_listed_s(warehouse, table.name)
    is_first = datetime.fromtimestamp(listed_s, UTC).date() < datetime.now(UTC).date()
    listed = list_folder(
        landing,
        table.name,
        within=within,
        settle_s=settle_s,
        since=None if is_first else days_ago(RECENT_DAYS if recent_days is None else recent_days),
        changed_s=listed_s - CHANGED_WITHIN_S if recent_days is None else None,
    )
    strays = list_strays(landing, channels.all_folders())
    with writer_lease(warehouse, LEASE) as lease:
        record_channels(warehouse, channels)
        FileLog(warehouse, "").note(strays)
        log = FileLog(warehouse, table.name, listed.files)
        log.note(listed.passed_over, listed.unlisted)
        due = log.unread(listed.files)
        taken = _bounded(due, files_max=files_max, bytes_max=bytes_max)
        result = load_files(warehouse, landing, table, taken, log, lease=lease, channels=channels)
        if is_first and len(taken) == len(due):
            forget_old(warehouse, table.name, listed)
            record_listed(warehouse, table.name)
    result.files_left = len(due) - len(taken)
    result.passed_over, result.waiting = listed.passed_over, listed.waiting
    result.unlisted = listed.unlisted
    result.strays = strays
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
    channels: Channels = ONE_CHANNEL,
    restores: Sequence[str] = (),
) -> IntakeResult:
    """Loads given files, whether they were read before or not, and counts what they added.

    The caller holds the lease. In the buckets that it restores, what is loaded was counted when it
    was first loaded.
    """
    if not files:
        return IntakeResult(table)
    held = BY_ASSET[table.name]
    done = IntakeResult(table)
    for group, days in _by_days(warehouse, held, files, log, restores):
        with counted(warehouse, held, restores=days):
            done.add(
                load_uncounted(
                    warehouse, landing, table, group, log, lease=lease, channels=channels
                )
            )
    return done


def _by_days(
    warehouse: Warehouse,
    held: Table,
    files: Sequence[LandingFile],
    log: FileLog,
    restores: Sequence[str],
) -> list[tuple[Sequence[LandingFile], Sequence[str]]]:
    """Returns the files with the days that they restore.

    A reload that was killed left files to this run: what they bring back was counted before. They
    come first, since what the next write ends is not known as a restore any more.
    """
    begun = {day for each in open_writes(warehouse, held) for day in each.restores}
    if not begun:
        return [(files, restores)]
    again = log.read_again(files)
    others = [file for file in files if file not in again]
    days = sorted({*restores, *(begun & {*damaged(warehouse, held)})})
    return [(group, of) for group, of in ((again, days), (others, restores)) if group]


def load_uncounted(  # noqa: PLR0913 - as load_files
    warehouse: Warehouse,
    landing: Landing,
    table: IntakeTable,
    files: Sequence[LandingFile],
    log: FileLog,
    *,
    lease: Lease,
    channels: Channels = ONE_CHANNEL,
) -> IntakeResult:
    """Loads given files without an inventory, as for a warehouse that nobody keeps."""
    started_s = logged_s = time.monotonic()
    result = IntakeResult(table)
    with warehouse.second_connection() as helper:
        loader = Loader(warehouse, table, helper=helper, before_batch=lease.hold)
        for group in log.begun(files):
            with log.reading(group) as left:
                sources = _sources(landing, group, log, channels, fields=loader.fields)
                for ended in loader.load(sources):
                    log.record(ended)
                    result.files.extend(ended)
                    for one in ended:
                        left.pop((one.path, one.version), None)
                    if time.monotonic() - logged_s >= LOG_EVERY_S:
                        logged_s = time.monotonic()
                        result.duration_s = logged_s - started_s
                        _log_progress(result, len(files))
    result.reasons = loader.reasons
    result.duration_s = time.monotonic() - started_s
    return result


def _log_progress(result: IntakeResult, files: int) -> None:
    logger.info(
        "%s: %d of %d files, %s rows, %s per s",
        result.table.name,
        len(result.files),
        files,
        f"{result.total('rows_read'):,}",
        f"{result.rows_per_s:,.0f}",
    )


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
    log: FileLog,
    channels: Channels,
    *,
    fields: Fields,
) -> Iterator[Source]:
    """Yields what to load; a file with the bytes of one that was loaded is not read again."""
    for file in files:
        result = log.begin(file)
        result.channel = channels.name_of(file.path)
        refusal = channels.refusal(file.path, file.folder)
        if result.state == FAILED:
            yield Source(result, ())
        elif refusal:
            result.state, result.problem = FAILED, refusal
            yield Source(result, ())
        else:
            yield _file_source(landing, file, result, log, fields)
            log.add_loaded(result)


def _file_source(
    landing: Landing, file: LandingFile, result: FileResult, log: FileLog, fields: Fields
) -> Source:
    same = log.loaded_of_size(file) if file.bytes and result.attempts == 1 else {}
    if same:
        try:
            result.sha256 = content_sha256(landing, file)
        except FileProblemError as problem:
            result.state, result.problem = FAILED, f"{problem.reason}: {problem}"
            return Source(result, ())
    if result.sha256 in same:
        result.state, result.problem = SAME, f"the same bytes as {same[result.sha256]}"
        return Source(result, ())
    digest = hashlib.sha256()

    def finish(ended: FileResult) -> None:
        if ended.state == FAILED:
            return
        ended.sha256 = digest.hexdigest()
        if log.is_rewritten(ended):
            ended.problem = (
                f"{REWRITTEN}: other bytes than before under the same path, size and time; they "
                "were loaded too: a file must not change once it is visible"
            )

    return Source(result, read_lines(landing, file, digest, fields), finish)
