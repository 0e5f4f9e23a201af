"""The log of the files of the landing zone, one entry per file: masques_ops.intake_files.

A file is written down as begun before it is read, and recorded after its rows are in their tables.
A kill between the two makes the next run read it again, which changes nothing. A file that two runs
began and none finished is set aside by the third: it may be what killed them.
"""

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from masques_pipelines.errors import MasquesError
from masques_pipelines.landing.formats import format_of
from masques_pipelines.landing.listing import ADVICE, PassedOver
from masques_pipelines.landing.zone import RETRIED, LandingFile
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.errors import WarehousePermanentError

LOADED: Final = "loaded"
FAILED: Final = "failed"
SAME: Final = "same"
BEGUN: Final = "begun"
DUE: Final = "due"
PASSED_OVER: Final = "passed_over"
GONE: Final = "gone"

# How often a file is read that may be readable the next time.
ATTEMPTS_MAX: Final = 5
# Runs that may die over a file before it is set aside.
BEGUN_MAX: Final = 2
STOPPED_THE_RUN: Final = "stopped_the_run_twice"
REWRITTEN: Final = "rewritten_in_place"
# Files that are begun together: one that kills the run makes suspects of these, and the next run
# takes suspects one by one.
GROUP_FILES: Final = 500
GROUP_BYTES: Final = 1 << 30
# Permanent errors of the warehouse that are not about what a file holds: names, rights, settings.
_NOT_OF_A_FILE: Final = (16, 36, 44, 47, 60, 81, 164, 192, 194, 497, 516)

_TABLE: Final = "masques_ops.intake_files"
_TIME: Final = "%Y-%m-%d %H:%M:%S"
_OF_FOLDER: Final = """
SELECT path, version, source, toString(state) AS state, problem, attempts, begun, bytes, sha256
FROM masques_ops.intake_files FINAL
WHERE folder = {folder:String}
    AND (
        {everything:Bool}
        OR path BETWEEN {first:String} AND {last:String}
        OR state = 'passed_over'
        OR (state = 'loaded' AND bytes IN {sizes:Array(UInt64)}))
ORDER BY recorded_at"""
_LISTINGS: Final = "masques_ops.intake_listings"
_LISTED: Final = """
SELECT toUnixTimestamp64Micro(max(listed_at))
FROM masques_ops.intake_listings
WHERE folder = {folder:String}"""
# More files than this are compared with the whole log.
_FILES_MAX: Final = 2_000


@dataclass
class FileResult:
    """What became of one file; the names are the columns of masques_ops.intake_files.

    Every row is accounted for: rows_read = blank + loaded + duplicates + quarantined.
    """

    folder: str
    path: str
    version: str
    source: str
    channel: str = ""
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
    begun: int = 0

    def row(self, recorded_at: datetime) -> dict[str, object]:
        """Returns the entry's values by column."""
        columns = asdict(self)
        newest_ns = columns.pop("newest_ns")
        newest_at = _moment(newest_ns) if newest_ns > 0 else None
        return {**columns, "newest_at": newest_at, "recorded_at": f"{recorded_at:{_TIME}.%f}"}


class _Entry(NamedTuple):
    """What is recorded of one version of a file, as far as later runs need it."""

    version: str
    source: str
    state: str
    problem: str
    attempts: int
    begun: int
    sha256: str


_NEW: Final = _Entry("", "", "", "", 0, 0, "")


class FileLog:
    """The entries of one folder, as they were when this object was made.

    One that writes holds its lease before it makes one. `begin` and what it uses may be called from
    another thread than the rest.
    """

    def __init__(
        self, warehouse: Warehouse, folder: str, files: Sequence[LandingFile] | None = None
    ) -> None:
        """Reads the entries.

        Args:
            warehouse: Where they are.
            folder: A folder of the landing zone: the table, mostly; '' for what is in none.
            files: The files that it will be asked about, when those are few; None for any.
        """
        self._warehouse = warehouse
        self._folder = folder
        # By path: its versions, in the order of their records.
        self._entries: dict[str, list[_Entry]] = {}
        self._passed_over: dict[str, str] = {}
        # By size: hash and path of files that were loaded.
        self._loaded: dict[int, list[tuple[str, str]]] = {}
        asked = {"folder": folder, **_asked(files)}
        for path, *found in warehouse.rows(_OF_FOLDER, asked):
            version, source, state, problem, attempts, begun, size, sha256 = found
            if state == PASSED_OVER:
                self._passed_over[path] = problem
            if state in (PASSED_OVER, GONE):
                continue
            entry = _Entry(version, source, state, problem, attempts, begun, sha256)
            self._entries.setdefault(path, []).append(entry)
            if state == LOADED and sha256:
                self._loaded.setdefault(int(size), []).append((sha256, path))

    def _entry(self, file: LandingFile) -> _Entry:
        """Returns what is recorded of a file, or an empty entry."""
        versions = self._entries.get(file.path, ())
        return next((each for each in versions if each.version == file.version), _NEW)

    def unread(self, files: Sequence[LandingFile]) -> list[LandingFile]:
        """Returns the files that are to be read.

        Those that no run has read, or has read to the end; those that are to be read again; and
        those that could not be read, up to ATTEMPTS_MAX times.
        """
        return [file for file in files if self._is_due(file)]

    def read_again(self, files: Sequence[LandingFile]) -> list[LandingFile]:
        """Returns the files that were read to their end once, and begun again since."""
        return [
            file
            for file in files
            if self._entry(file).state in (BEGUN, DUE) and self._entry(file).attempts
        ]

    def _is_due(self, file: LandingFile) -> bool:
        entry = self._entry(file)
        if entry.state in ("", BEGUN, DUE):
            return True
        is_retried = entry.problem.partition(":")[0] in RETRIED
        return entry.state == FAILED and is_retried and entry.attempts < ATTEMPTS_MAX

    def in_order(self, files: Sequence[LandingFile]) -> list[LandingFile]:
        """Returns files as they were recorded, the oldest first: of a conflict the first counts."""
        order = {path: number for number, path in enumerate(self._entries)}
        return sorted(files, key=lambda file: order.get(file.path, len(order)))

    def begun(self, files: Sequence[LandingFile]) -> Iterator[list[LandingFile]]:
        """Yields the files in groups, each written down as begun before it is yielded.

        Suspects come last and one by one, so that the one that kills the run is told from those
        that were only read with it.
        """
        suspects = [file for file in files if self._entry(file).begun]
        others = [file for file in files if not self._entry(file).begun]
        for group in [*_grouped(others), *([file] for file in suspects)]:
            if not self.is_set_aside(group[0]):
                self._write(group, BEGUN, more=1)
            yield group

    def is_set_aside(self, file: LandingFile) -> bool:
        """Says whether runs died over a file as often as they may."""
        entry = self._entry(file)
        return entry.state == BEGUN and entry.begun >= BEGUN_MAX

    @contextlib.contextmanager
    def reading(self, group: Sequence[LandingFile]) -> Iterator[dict[tuple[str, str], LandingFile]]:
        """Yields the files that were begun by path and version, to be taken out as they end.

        An error that is not about what the files hold gives the others back, so that it does not
        count against them. One that may be, as the death of the process, leaves them begun.
        """
        left = {(file.path, file.version): file for file in group}
        try:
            yield left
        except BaseException as error:
            if not _may_be_a_file(error):
                # Without the warehouse they stay begun, which costs them one of their tries.
                with contextlib.suppress(MasquesError):
                    self.give_back(file for file in left.values() if not self.is_set_aside(file))
            raise

    def give_back(self, files: Iterable[LandingFile]) -> None:
        """Writes down that files were begun and are due again, and that it is not their fault."""
        self._write(files, DUE, more=0)

    def _write(self, files: Iterable[LandingFile], state: str, *, more: int) -> None:
        """Writes entries without counts; what was known of a file stays known to this object."""
        self.record(
            FileResult(
                folder=self._folder,
                path=file.path,
                version=file.version,
                source=self.source_of(file),
                bytes=file.bytes,
                state=state,
                attempts=self._entry(file).attempts,
                begun=self._entry(file).begun + more,
            )
            for file in files
        )

    def source_of(self, file: LandingFile) -> str:
        """Returns the file's name in quarantine: a later version under one path gets a tag."""
        entry = self._entry(file)
        if entry.source or file.path not in self._entries:
            return entry.source or file.path
        return f"{file.path}@{hashlib.sha256(file.version.encode()).hexdigest()[:8]}"

    def begin(self, file: LandingFile) -> FileResult:
        """Returns the entry of a file that is about to be read, without counts.

        That of a file that is set aside says so: it must not be read.
        """
        result = FileResult(
            folder=self._folder,
            path=file.path,
            version=file.version,
            source=self.source_of(file),
            bytes=file.bytes,
            attempts=self._entry(file).attempts + 1,
        )
        if self.is_set_aside(file):
            result.state, result.begun, result.attempts = FAILED, self._entry(file).begun, BEGUN_MAX
            result.problem = (
                f"{STOPPED_THE_RUN}: {BEGUN_MAX} runs began to read it and were killed before they "
                "had: look at what it is; `masques intake quarantine replay` reads it again"
            )
        return result

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

    def is_rewritten(self, result: FileResult) -> bool:
        """Says whether a file has other bytes than it had with the same size and time."""
        looks = _looks(result.version)
        hashes = {
            entry.sha256
            for entry in self._entries.get(result.path, ())
            if entry.sha256 and _looks(entry.version) == looks
        }
        return bool(hashes) and result.sha256 not in {"", *hashes}

    def note(self, passed_over: Sequence[PassedOver], unlisted: Sequence[str] = ()) -> None:
        """Records what is passed over now, and that what was passed over before is gone.

        Args:
            passed_over: What is passed over.
            unlisted: Folders that were not looked into, with a slash: what was there may be still.
        """
        wanted = {entry.path: entry for entry in passed_over}
        changed = [
            FileResult(self._folder, path, "", path, bytes=entry.bytes, state=PASSED_OVER,
                       problem=f"{entry.reason}: {ADVICE[entry.reason]}", attempts=0)
            for path, entry in wanted.items()
        ]  # fmt: skip
        changed = [each for each in changed if self._passed_over.get(each.path) != each.problem]
        gone = [
            FileResult(self._folder, path, "", path, state=GONE, problem=problem, attempts=0)
            for path, problem in self._passed_over.items()
            if path not in wanted and not path.startswith(tuple(unlisted))
        ]
        self.record([*changed, *gone])

    def record(self, results: Iterable[FileResult]) -> None:
        """Writes entries; the same entry again replaces itself."""
        record_files(self._warehouse, results)


def last_listed_s(warehouse: Warehouse, folder: str) -> float:
    """Returns when all of a folder was last listed, and read: seconds since 1970, 0 for never."""
    return int(warehouse.scalar(_LISTED, {"folder": folder})) / 1e6


def record_listed(warehouse: Warehouse, folder: str) -> None:
    """Writes down that all of a folder was listed, and all that was due was read."""
    listed_at = f"{datetime.now(UTC):{_TIME}.%f}"
    warehouse.insert_json(_LISTINGS, [{"folder": folder, "listed_at": listed_at}])


def _asked(files: Sequence[LandingFile] | None) -> dict[str, object]:
    """Returns which entries matter to some files: theirs, and those of files of the same size."""
    if files is None or len(files) > _FILES_MAX:
        return {"everything": True, "first": "", "last": "", "sizes": []}
    paths = [file.path for file in files]
    return {
        "everything": False,
        "first": min(paths, default=""),
        "last": max(paths, default=""),
        "sizes": sorted({file.bytes for file in files}),
    }


def _may_be_a_file(error: BaseException) -> bool:
    """Says whether what a file holds may have made the engine or Python fail."""
    if isinstance(error, WarehousePermanentError):
        return error.code is not None and error.code not in _NOT_OF_A_FILE
    return isinstance(error, Exception) and not isinstance(error, MasquesError)


def _looks(version: str) -> list[str]:
    """Returns size and time of writing, which a store without tags has in the version."""
    return version.split("-")[:2]


def _grouped(files: Iterable[LandingFile]) -> Iterator[list[LandingFile]]:
    group: list[LandingFile] = []
    size = 0
    for file in files:
        if group and (len(group) >= GROUP_FILES or size + file.bytes > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(file)
        size += file.bytes
    if group:
        yield group


def record_files(warehouse: Warehouse, results: Iterable[FileResult]) -> None:
    """Writes entries; the same entry again replaces itself."""
    recorded_at = datetime.now(UTC)
    warehouse.insert_json(_TABLE, [result.row(recorded_at) for result in results])


def _moment(time_ns: int) -> str:
    whole_s, rest_ns = divmod(time_ns, 10**9)
    return f"{datetime.fromtimestamp(whole_s, UTC):{_TIME}}.{rest_ns:09d}"
