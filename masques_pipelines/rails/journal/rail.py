"""Reads the gate's journal: its requests to a facilitator with their answers, and its invoices.

The files of `<landing>/settlement_journal/` are read from where the last run stopped: each from its
last whole line. A line that comes again changes nothing.

Files are NDJSON (`.ndjson`, `.jsonl`), one message a line, and may grow, be renamed (`.ndjson.1`),
compressed (`.gz`), or copied and truncated: see files.py. A last line without a line break is read
when it has not changed since the last run. Names that begin with a dot or end in `.tmp` or `.part`
are still being written. What is not read goes to quarantine once, with the reason: another name, a
folder, a link out of the landing zone, a pipe; a file that the store does not give, which each run
tries again.
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from masques_pipelines.errors import PermanentError
from masques_pipelines.landing import local
from masques_pipelines.landing.listing import (
    ADVICE,
    UNKNOWN_ENDING,
    UNKNOWN_FOLDER,
    is_hidden,
    list_entries,
    shown,
)
from masques_pipelines.landing.zone import (
    BAD_NAME,
    CANNOT_BE_READ,
    SETTLEMENT_JOURNAL,
    Landing,
    LandingMissingError,
    LandingUnavailableError,
    is_absent,
    open_landing,
    why,
)
from masques_pipelines.rails.descriptor import RailContext, RailDescriptor
from masques_pipelines.rails.journal import files
from masques_pipelines.rails.journal.files import DamagedFileError, State
from masques_pipelines.rails.journal.lines import read_line
from masques_pipelines.rails.protocol import (
    AssetAllowList,
    Cursor,
    FetchResult,
    Found,
    JournalEvent,
    Observation,
    RailRefusedError,
    RailUnavailableError,
    Rejected,
)

NAME: Final = "journal"
FOLDER: Final = SETTLEMENT_JOURNAL
CURSOR_VERSION: Final = 2
# One fetch is one insert; a line is some kilobytes.
BYTES_PER_FETCH: Final = 4 * 1024 * 1024
LINE_BYTES_MAX: Final = 1024 * 1024
# Reasons that only the journal has, besides those of the landing zone.
_ADVICE: Final = {
    **ADVICE,
    UNKNOWN_ENDING: "its name does not end in .ndjson or .jsonl, a number or .gz: rename it",
    UNKNOWN_FOLDER: "folders in the journal's folder are not read: move its files",
    BAD_NAME: "its name is not valid UTF-8: rename it",
}
_BYTE_ORDER_MARK: Final = "\ufeff"

logger = logging.getLogger(__name__)


@dataclass
class _Progress:
    """What one fetch has read."""

    states: dict[str, State]
    observations: list[Observation] = field(default_factory=list)
    events: list[JournalEvent] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    failed: dict[str, RailUnavailableError | RailRefusedError] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    left: int = field(default_factory=lambda: BYTES_PER_FETCH)

    def count(self, name: str, number: int = 1) -> None:
        self.notes[name] = self.notes.get(name, 0) + number


class JournalRail:
    """Announced payments, from files."""

    name = NAME
    # One journal belongs to one warehouse, wherever its landing zone is mounted.
    network = ""

    def __init__(self, landing: Landing, allowed: AssetAllowList, *, has_zone: bool = True) -> None:
        self.description = f"{landing.description}/{FOLDER}"
        self.calls = 0
        self._allowed = allowed
        self._landing = landing
        self._has_zone = has_zone
        self._is_counted = False

    def fetch(self, cursor: Cursor | None) -> FetchResult:
        """Returns the payments announced after the cursor.

        Raises:
            RailUnavailableError: The landing zone cannot be read now.
            RailRefusedError: It cannot be read at all.
        """
        found, unread = self._listed()
        before = {name: State.of(value) for name, value in (cursor or {}).get("files", {}).items()}
        # Only files that still exist: the cursor stays as small as the folder. All of them are told
        # apart before one is read: what was under one name may come under any other.
        progress = _Progress({}, unread=unread)
        for name in sorted(found):
            with self._one_file(name, progress, before):
                progress.states[name] = self._state(name, found[name], before)
        for name in sorted(progress.states.keys() - progress.failed.keys()):
            with self._one_file(name, progress, before):
                self._read(name, found[name], progress)
        if progress.failed and len(progress.failed) == len(found):
            raise next(iter(progress.failed.values()))
        reported = dict((cursor or {}).get("unread", {}))
        self._report(progress, reported)
        behind = sum(
            _behind(name, state, found[name][0]) for name, state in progress.states.items()
        )
        return FetchResult(
            observations=progress.observations,
            cursor={
                "v": CURSOR_VERSION,
                "files": {name: state.to_json() for name, state in progress.states.items()},
                **({"unread": progress.unread} if progress.unread else {}),
            },
            is_caught_up=progress.left > 0,
            position=sum(state.offset for state in progress.states.values()),
            behind=behind,
            rejected=progress.rejected,
            events=progress.events,
            notes=progress.notes,
        )

    @contextlib.contextmanager
    def _one_file(
        self, name: str, progress: _Progress, before: Mapping[str, State]
    ) -> Iterator[None]:
        """Keeps the failure of one file from the others; its position stays."""
        try:
            yield
        except (RailUnavailableError, RailRefusedError) as error:
            logger.warning("%s", error)
            progress.count("files_failed")
            progress.failed[name] = error
            progress.unread[name] = CANNOT_BE_READ
            if name in before:
                progress.states.setdefault(name, before[name])

    def replay(self, rejected: Sequence[Rejected], cursor: Cursor | None) -> Found:
        """Reads rejected lines again: from their files, else what quarantine kept of them.

        Raises:
            RailUnavailableError, RailRefusedError: The folder cannot be read.
        """
        found, _unread = self._listed()
        progress = _Progress({})
        wanted: dict[str, dict[int, Rejected]] = {}
        for each in rejected:
            wanted.setdefault(each.source, {})[each.line_no] = each
        states = {name: State.of(value) for name, value in (cursor or {}).get("files", {}).items()}
        for name in sorted(found):
            with self._one_file(name, progress, {}):
                self._read_again(name, found[name][0], states, wanted, progress)
        for lines in wanted.values():
            for each in lines.values():
                self._line_kept(each, progress)
        return Found(
            observations=progress.observations, rejected=progress.rejected, events=progress.events
        )

    def _read_again(
        self,
        name: str,
        size: int,
        states: Mapping[str, State],
        wanted: dict[str, dict[int, Rejected]],
        progress: _Progress,
    ) -> None:
        """Reads the wanted lines of a file and takes them from `wanted`."""
        data = self._head(name)
        heads = {files.head_of(data)}
        heads |= {state.head for state in states.values() if files.has_head(data, state.head)}
        whole = wanted.get(f"{FOLDER}/{name}", {})
        lines = {
            number: source
            for source in (files.source_of(FOLDER, name, head) for head in heads)
            for number in wanted.get(source, ())
        }
        if not lines and not whole:
            return
        try:
            for number, line in self._lines(name, size):
                source = lines.pop(number, "")
                if source:
                    del wanted[source][number]
                if source or whole:
                    in_file = source or files.source_of(FOLDER, name, files.head_of(data))
                    self._line(in_file, number, line, progress)
                elif not lines:
                    break
        except DamagedFileError:
            return  # still cut off
        whole.clear()

    def _lines(self, name: str, size: int) -> Iterator[tuple[int, bytes]]:
        """Yields all lines of a file with their numbers, as the fetches number them."""
        offset = number = 0
        is_last = False
        while not is_last:
            chunk, is_last = self._chunk(name, offset, size)
            end = len(chunk) if is_last else chunk.rfind(b"\n") + 1 or len(chunk)
            for line in chunk[:end].splitlines():
                number += 1
                yield number, line
            offset += end

    def _line_kept(self, rejected: Rejected, progress: _Progress) -> None:
        """Reads what quarantine kept of a line whose file is gone; still bad, it stays as it is."""
        found = read_line(
            rejected.raw,
            self._allowed,
            source=rejected.source,
            line_no=rejected.line_no,
            is_kept=True,
        )
        # A line that announces nothing may do so because of what was left out.
        if rejected.line_no == 0 or found.observation is None:
            progress.rejected.append(rejected)
            return
        progress.observations.append(found.observation)
        if found.event is not None:
            progress.events.append(found.event)

    def _listed(self) -> tuple[dict[str, tuple[int, str]], dict[str, str]]:
        """Returns size and version of each file by its name, and why the others are not read."""
        self.calls += 1
        try:
            found = list_entries(self._landing, FOLDER) if self._has_zone else []
        except LandingMissingError as error:
            raise RailRefusedError(str(error)) from error
        except LandingUnavailableError as error:
            if isinstance(error.__cause__, PermissionError):
                raise _unreadable(self.description, error.__cause__) from error
            raise RailUnavailableError(str(error)) from error
        listed, unread = {}, {}
        for each in found:
            reason = _unread_reason(each)
            if reason:
                unread[shown(each.path)] = reason
            elif not (is_hidden(each.path) or each.path.endswith(files.UNFINISHED)):
                listed[each.path] = (each.bytes, each.version if each.written_s else "")
        return listed, unread

    def _report(self, progress: _Progress, reported: Mapping[str, str]) -> None:
        """Counts what is not read, and puts what was not reported before into quarantine."""
        passed_over = sum(reason != CANNOT_BE_READ for reason in progress.unread.values())
        if passed_over and not self._is_counted:
            progress.count("files_passed_over", passed_over)
        self._is_counted = True
        for name, reason in progress.unread.items():
            if reported.get(name) == reason:
                continue
            path = f"{FOLDER}/{name}"
            if reason == CANNOT_BE_READ:
                text = f"{progress.failed[name]}"
            else:
                text = f"{reason}: {_ADVICE[reason]}"
                logger.warning("%s is not read: %s", path, text)
            progress.rejected.append(Rejected(path, 0, f"{reason}:file", text))

    def _state(self, name: str, listed: tuple[int, str], before: Mapping[str, State]) -> State:
        """Returns how far a file was read, under this name or the one before its rotation."""
        size, written = listed
        known = before.get(name)
        if known and written and (known.size, known.written) == (size, written):
            return known
        if known and not known.head[0] and 0 < known.offset <= size:
            return known  # of a cursor without fingerprints
        data = self._head(name)
        for other in files.earlier(before, name, data):
            state = before[other]
            if self._continues(name, size, state):
                return State(
                    state.offset,
                    state.lines,
                    state.size if other == name else 0,
                    state.written if other == name else "",
                    state.head,
                    state.tail,
                )
        return State()

    def _continues(self, name: str, size: int, state: State) -> bool:
        """Returns whether a file has the bytes that were read last at their place."""
        if not files.is_compressed(name) and size < state.offset:
            return False
        start = max(0, state.offset - files.TAIL_BYTES)
        data = self._bytes(name, start, state.offset)
        return len(data) == state.offset - start and files.digest(data) == state.tail

    def _head(self, name: str) -> bytes:
        return self._bytes(name, 0, files.HEAD_BYTES_MAX)

    def _read(self, name: str, listed: tuple[int, str], progress: _Progress) -> None:
        size, written = listed
        state = progress.states[name]
        is_same = bool(written) and (state.size, state.written) == (size, written)
        is_unchanged = is_same if written else state.size == size
        if files.is_compressed(name) and is_same and state.is_whole:
            return
        while progress.left > 0 and (files.is_compressed(name) or state.offset < size):
            try:
                chunk, is_last = self._chunk(name, state.offset, size)
            except DamagedFileError as error:
                self._damaged(name, state, error, progress, is_unchanged=is_unchanged)
                break
            end = chunk.rfind(b"\n") + 1
            is_ended = files.is_compressed(name) or is_unchanged  # the writer has ended
            if is_last and end < len(chunk) and is_ended:
                end = len(chunk)
            if not end and len(chunk) > LINE_BYTES_MAX:
                end = len(chunk)  # no valid line is that long
            if end:
                self._take(name, state, chunk[:end], progress)
            state.is_whole = is_last
            if not end or is_last:
                break
        state.size, state.written = size, written

    def _chunk(self, name: str, start: int, size: int) -> tuple[bytes, bool]:
        if files.is_compressed(name):
            return self._content(name, start, BYTES_PER_FETCH)
        data = self._bytes(name, start, min(size, start + BYTES_PER_FETCH))
        return data, start + len(data) >= size

    def _take(self, name: str, state: State, data: bytes, progress: _Progress) -> None:
        """Reads whole lines and moves the position behind them."""
        if not state.head[0]:
            state.head = files.head_of(data if state.offset == 0 else self._head(name))
        source = files.source_of(FOLDER, name, state.head)
        for line in data.splitlines():
            state.lines += 1
            self._line(source, state.lines, line, progress)
        state.offset += len(data)
        if len(data) >= files.TAIL_BYTES or state.offset == len(data):
            state.tail = files.digest(data[-files.TAIL_BYTES :])
        else:
            start = max(0, state.offset - files.TAIL_BYTES)
            state.tail = files.digest(self._bytes(name, start, state.offset))
        progress.left -= len(data)

    def _damaged(
        self,
        name: str,
        state: State,
        error: DamagedFileError,
        progress: _Progress,
        *,
        is_unchanged: bool,
    ) -> None:
        """Waits for a file that is still being compressed, and rejects one that stays cut off."""
        progress.count("files_damaged")
        if is_unchanged and not state.is_whole:
            state.is_whole = True  # rejected once
            progress.rejected.append(
                Rejected(f"{FOLDER}/{name}", 0, "unreadable:file", f"gzip: {error}")
            )

    def _content(self, name: str, start: int, length: int) -> tuple[bytes, bool]:
        self.calls += 1
        try:
            with self._landing.open(f"{FOLDER}/{name}") as file:
                return files.read_gzip(file, start, length)
        except DamagedFileError:
            raise
        except Exception as error:
            raise _unreadable(f"{self.description}/{name}", error) from error

    def _bytes(self, name: str, start: int, end: int) -> bytes:
        if files.is_compressed(name):
            try:
                return self._content(name, start, end - start)[0]
            except DamagedFileError:
                return b""
        self.calls += 1
        try:
            return self._landing.read(f"{FOLDER}/{name}", start, end)
        except Exception as error:
            raise _unreadable(f"{self.description}/{name}", error) from error

    def _line(self, source: str, number: int, line: bytes, progress: _Progress) -> None:
        text = line.decode("utf-8", "replace").strip().removeprefix(_BYTE_ORDER_MARK).strip()
        if not text:
            return
        progress.count("lines")
        if len(line) > LINE_BYTES_MAX:
            kept = f"[{len(text)} characters]"
            progress.rejected.append(Rejected(source, number, "too_long:line", kept))
            return
        found = read_line(text, self._allowed, source=source, line_no=number)
        if found.event is not None:
            progress.events.append(found.event)
        if found.reason:
            progress.rejected.append(Rejected(source, number, found.reason, found.kept))
        elif found.observation is not None:
            progress.observations.append(found.observation)
        else:
            progress.count("lines_without_payment")
            progress.count(f"ignored_{found.rule}")


def _unread_reason(found: local.Found) -> str:
    """Returns why an entry of the folder is not read, '' when it is or is still being written."""
    if found.reason:
        return found.reason
    if is_hidden(found.path) or found.path.endswith(files.UNFINISHED):
        return ""
    if "/" in found.path:
        return UNKNOWN_FOLDER
    if shown(found.path) != found.path:
        return BAD_NAME
    return "" if files.NAME.fullmatch(found.path) else UNKNOWN_ENDING


def _behind(name: str, state: State, size: int) -> int:
    if files.is_compressed(name):
        return 0 if state.is_whole else size
    return size - state.offset


def _unreadable(what: str, error: Exception) -> RailUnavailableError | RailRefusedError:
    if isinstance(error, PermissionError | ValueError):
        return RailRefusedError(
            f"{what}: it cannot be read ({why(error)}): check MASQUES_LANDING_URL and the rights "
            "of this user"
        )
    return RailUnavailableError(
        f"{what}: it cannot be read now ({why(error)}); the next run tries again"
    )


def _rewind(_cursor: Cursor, position: int) -> Cursor:
    if position != 0:
        raise PermanentError(
            f"{NAME}: {position} is not a position that it can be read from: its files have one "
            "each; give 0 to read all of them again, which changes nothing that is right"
        )
    return {"v": CURSOR_VERSION, "files": {}}


@contextlib.contextmanager
def _open(context: RailContext) -> Iterator[JournalRail]:
    landing = open_landing(context.settings)
    try:
        has_zone = not is_absent(landing, context.settings)
    except LandingUnavailableError as error:
        raise RailUnavailableError(str(error)) from error
    yield JournalRail(landing, context.allow_list, has_zone=has_zone)


DESCRIPTOR: Final = RailDescriptor(
    name=NAME,
    unit="byte",
    open=_open,
    network=lambda _configured: JournalRail.network,
    rejected_from=FOLDER,
    position=lambda cursor: sum(each[0] for each in cursor["files"].values()),
    rewind=_rewind,
)
