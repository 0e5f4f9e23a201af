"""Reads the gate's journal: its requests to a facilitator with their answers, and its invoices.

The files of `<landing>/settlement_journal/` are read from where the last run stopped: each from its
last whole line. A line that comes again changes nothing.

Files are NDJSON (`.ndjson`, `.jsonl`), one message a line, and may grow: a last line without a line
break is read when it has not changed since the last run. Names that begin with a dot or end in
anything else are ignored: files that are still being written.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from masques_pipelines.landing.zone import Landing, open_landing
from masques_pipelines.rails.descriptor import RailContext, RailDescriptor
from masques_pipelines.rails.journal.messages import LineError, announced, harmless
from masques_pipelines.rails.protocol import (
    AssetAllowList,
    Cursor,
    FetchResult,
    Observation,
    RailRefusedError,
    RailUnavailableError,
    Rejected,
)

NAME: Final = "journal"
FOLDER: Final = "settlement_journal"
ENDINGS: Final = (".ndjson", ".jsonl")
CURSOR_VERSION: Final = 1
# One fetch is one insert; a line is some kilobytes.
BYTES_PER_FETCH: Final = 4 * 1024 * 1024
LINE_BYTES_MAX: Final = 1024 * 1024


@dataclass
class _Progress:
    """What one fetch has read; `offsets` is {name: [bytes read, lines read, size seen]}."""

    offsets: dict[str, list[int]]
    observations: list[Observation] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    left: int = field(default_factory=lambda: BYTES_PER_FETCH)


class JournalRail:
    """Announced payments, from files."""

    name = NAME
    # One journal belongs to one warehouse, wherever its landing zone is mounted.
    network = ""

    def __init__(self, landing: Landing, allowed: AssetAllowList) -> None:
        self.description = f"{landing.description}/{FOLDER}"
        self.calls = 0
        self._allowed = allowed
        self._files = landing.filesystem
        self._root = f"{landing.root}/{FOLDER}"

    def fetch(self, cursor: Cursor | None) -> FetchResult:
        """Returns the payments announced after the cursor.

        Raises:
            RailUnavailableError: The landing zone cannot be read now.
            RailRefusedError: It cannot be read at all.
        """
        sizes = self._sizes()
        before: Mapping[str, Any] = (cursor or {}).get("files", {})
        # Only files that still exist: the cursor stays as small as the folder.
        progress = _Progress({name: list(before.get(name, (0, 0, 0))) for name in sizes})
        for name in sorted(sizes):
            self._read(name, sizes[name], progress)
        behind = sum(size - progress.offsets[name][0] for name, size in sizes.items())
        return FetchResult(
            observations=progress.observations,
            cursor={"v": CURSOR_VERSION, "files": progress.offsets},
            is_caught_up=progress.left > 0,
            position=sum(each[0] for each in progress.offsets.values()),
            behind=behind,
            rejected=progress.rejected,
            notes=progress.notes,
        )

    def _sizes(self) -> dict[str, int]:
        self.calls += 1
        try:
            self._files.invalidate_cache()  # an object store's listing outlives a run
            if not self._files.exists(self._root):
                return {}
            found = self._files.ls(self._root, detail=True)
        except (OSError, ValueError) as error:
            raise _unreadable(self.description, error) from error
        self._paths = {str(each["name"]).rsplit("/", 1)[-1]: str(each["name"]) for each in found}
        return {
            name: int(each["size"] or 0)
            for each in found
            if each["type"] == "file"
            and (name := str(each["name"]).rsplit("/", 1)[-1]).endswith(ENDINGS)
            and not name.startswith(".")
        }

    def _read(self, name: str, size: int, progress: _Progress) -> None:
        offset = progress.offsets[name]
        if size < offset[0]:
            offset[:] = [0, 0, 0]  # another file under the same name
        while progress.left > 0 and offset[0] < size:
            chunk = self._bytes(name, offset[0], min(size, offset[0] + BYTES_PER_FETCH))
            is_last = offset[0] + len(chunk) >= size
            end = chunk.rfind(b"\n") + 1
            if is_last and end < len(chunk) and offset[2] == size:
                end = len(chunk)  # the same bytes as in the last run: the writer has ended
            if not end and len(chunk) > LINE_BYTES_MAX:
                end = len(chunk)  # no valid line is that long
            if not end:
                break
            for line in chunk[:end].splitlines():
                offset[1] += 1
                self._line(name, offset[1], line, progress)
            offset[0] += end
            progress.left -= end
        offset[2] = size

    def _bytes(self, name: str, start: int, end: int) -> bytes:
        self.calls += 1
        try:
            return bytes(self._files.cat_file(self._paths[name], start=start, end=end))
        except (OSError, ValueError) as error:
            raise _unreadable(f"{self.description}/{name}", error) from error

    def _line(self, name: str, number: int, line: bytes, progress: _Progress) -> None:
        text = line.decode("utf-8", "replace").strip()
        if not text:
            return
        try:
            seen = announced(text, self._allowed)
        except LineError as error:
            progress.rejected.append(
                Rejected(
                    source=f"{FOLDER}/{name}",
                    line_no=number,
                    reason=str(error),
                    raw=harmless(text),
                )
            )
            return
        if seen is None:
            progress.notes["lines_without_payment"] = (
                progress.notes.get("lines_without_payment", 0) + 1
            )
        else:
            progress.observations.append(seen)


def _unreadable(what: str, error: Exception) -> RailUnavailableError | RailRefusedError:
    if isinstance(error, OSError) and not isinstance(error, PermissionError):
        return RailUnavailableError(
            f"{what}: it cannot be read now ({type(error).__name__}); the next run tries again"
        )
    return RailRefusedError(
        f"{what}: it cannot be read ({type(error).__name__}): check MASQUES_LANDING_URL and the "
        "rights of this user"
    )


@contextlib.contextmanager
def _open(context: RailContext) -> Iterator[JournalRail]:
    yield JournalRail(open_landing(context.settings), context.allow_list)


DESCRIPTOR: Final = RailDescriptor(
    name=NAME,
    unit="byte",
    open=_open,
    network=lambda _settings: JournalRail.network,
    position=lambda cursor: sum(each[0] for each in cursor["files"].values()),
)
