"""Lists folders of the landing zone: what is to be read, what is passed over and why, what waits.

Each entry of a folder ends in one of the three. Only regular files inside the zone are read.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final

from masques_pipelines.landing.dates import is_older
from masques_pipelines.landing.formats import format_of
from masques_pipelines.landing.local import (
    CANNOT_BE_LISTED,
    DANGLING_LINK,
    LEAVES_THE_ZONE,
    LINK_TO_FOLDER,
    NOT_A_FILE,
    OLDER,
    Found,
    walk,
)
from masques_pipelines.landing.zone import BAD_NAME, Landing, LandingFile

# A file that was written less than this ago may still grow, if its producer does not rename.
SETTLE_S: Final = 2.0
# Clocks of machines differ by seconds; a time further ahead than this is wrong.
FUTURE_S: Final = 60.0
# An upload that takes longer than this has died.
UNFINISHED_S: Final = 86_400.0
_UNFINISHED: Final = (".tmp", ".part")

HIDDEN: Final = "hidden"
UNFINISHED: Final = "unfinished"
UNKNOWN_ENDING: Final = "unknown_ending"
FUTURE_TIME: Final = "future_time"
UNKNOWN_FOLDER: Final = "unknown_folder"
# Why a file is passed over, and what to do. Hidden files are meant to be, and are not warned of.
ADVICE: Final = {
    HIDDEN: "its name begins with a dot or an underscore, which says that it is not for us",
    UNFINISHED: "still .tmp or .part a day after it was written: deliver it again, or remove it",
    UNKNOWN_ENDING: "rename it by its format: .ndjson, .jsonl, .csv or .parquet, with .gz or .zst",
    FUTURE_TIME: "its time of writing lies ahead of this machine's clock: touch it, or wait",
    UNKNOWN_FOLDER: "no reader has this folder: rename it, or move its files",
    NOT_A_FILE: "a pipe, socket or device: remove it",
    DANGLING_LINK: "a link to nothing, or to itself: deliver the file itself",
    LINK_TO_FOLDER: "links to folders are not followed: deliver the files themselves",
    LEAVES_THE_ZONE: "a link out of the landing zone is not followed: deliver the file itself",
    CANNOT_BE_LISTED: "a folder that cannot be listed: give this user the right to",
}


@dataclass(frozen=True)
class PassedOver:
    """An entry of the landing zone that is not read; `path` is valid text."""

    path: str
    reason: str
    bytes: int = 0


@dataclass
class Listing:
    """What a folder holds.

    Attributes:
        files: What is ready to be read, in the order of the paths.
        passed_over: What is not read, in the order of the paths.
        waiting: How many files are still being written, or may be.
        unlisted: Folders of older days that were not looked into, in the order of the paths.
    """

    files: list[LandingFile] = field(default_factory=list)
    passed_over: list[PassedOver] = field(default_factory=list)
    waiting: int = 0
    unlisted: list[str] = field(default_factory=list)


def list_folder(  # noqa: PLR0913 - what is listed, and what is left out
    landing: Landing,
    folder: str,
    *,
    within: Collection[str] = (),
    settle_s: float = SETTLE_S,
    since: date | None = None,
    changed_s: float | None = None,
) -> Listing:
    """Lists what is delivered for one reader.

    Args:
        landing: The landing zone.
        folder: Names the reader, and its folder.
        within: The folders to list instead; one that is missing is empty.
        settle_s: A file that was written less than this ago waits.
        since: Folders that are named by earlier days are not looked into.
        changed_s: Of these only the ones that have the entries that they had at this time (seconds
            since 1970); folders of a store have no times, and are all looked into.

    Raises:
        LandingMissingError: There is no landing zone.
        LandingUnavailableError: A folder cannot be listed.
    """
    now_s = time.time()
    listing = Listing()
    for each in sorted(within or (folder,)):
        for found in list_entries(landing, each, since, changed_s):
            if found.reason == OLDER:
                listing.unlisted.append(shown(f"{each}/{found.path}"))
                continue
            file = _landing_file(folder, f"{each}/{found.path}", found)
            _sort(listing, file, found, now_s=now_s, settle_s=settle_s)
    listing.files.sort(key=lambda file: file.path)
    listing.passed_over.sort(key=lambda entry: entry.path)
    listing.unlisted.sort()
    return listing


def list_strays(landing: Landing, known: Collection[str]) -> list[PassedOver]:
    """Returns the files that are in no folder of a reader.

    Args:
        landing: The landing zone.
        known: The readers' folders, as paths below the zone.

    Raises:
        LandingMissingError: There is no landing zone.
        LandingUnavailableError: It cannot be listed.
    """
    landing.check()
    waiting, strays = [""], []
    while waiting:
        above = waiting.pop()
        for name, is_folder in _children(landing, above):
            path = f"{above}{name}"
            if is_folder and path in known:
                continue
            if is_folder and any(each.startswith(f"{path}/") for each in known):
                waiting.append(f"{path}/")
            elif name.startswith((".", "_")):
                strays.append(PassedOver(shown(path), HIDDEN))
            elif is_folder:
                strays += [
                    PassedOver(shown(f"{path}/{found.path}"), found.reason or UNKNOWN_FOLDER)
                    for found in _below(landing, path)
                ]
            else:
                strays.append(PassedOver(shown(path), UNKNOWN_FOLDER))
    return sorted(strays, key=lambda entry: entry.path)


def by_reason(entries: Sequence[PassedOver]) -> list[tuple[str, int, str]]:
    """Returns each reason with how many are passed over for it, and the first of them."""
    counts = Counter(entry.reason for entry in entries)
    firsts = {entry.reason: entry.path for entry in reversed(entries)}
    return [(reason, count, firsts[reason]) for reason, count in counts.most_common()]


def shown(name: str) -> str:
    """Returns a name as valid text: bytes of it that are not UTF-8 become escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def _sort(
    listing: Listing, file: LandingFile, found: Found, *, now_s: float, settle_s: float
) -> None:
    """Adds one entry where it belongs."""
    reason = found.reason or _reason_of_name(found, now_s)
    if not reason and found.written_s > now_s + max(FUTURE_S, -settle_s):
        reason = FUTURE_TIME
    if reason:
        listing.passed_over.append(PassedOver(file.path, reason, found.bytes))
    elif found.path.endswith(_UNFINISHED) or found.written_s > now_s - settle_s:
        listing.waiting += 1
    else:
        listing.files.append(file)


def _landing_file(folder: str, path: str, found: Found) -> LandingFile:
    text = shown(path)
    return LandingFile(
        folder,
        text,
        found.version,
        found.bytes,
        found.written_s,
        stored_path="" if text == path else path,
        problem="" if text == path else BAD_NAME,
    )


def _reason_of_name(found: Found, now_s: float) -> str:
    """Returns why a file is passed over by its name, '' when it is not."""
    if is_hidden(found.path):
        return HIDDEN
    if found.path.endswith(_UNFINISHED):
        return UNFINISHED if found.written_s < now_s - UNFINISHED_S else ""
    return "" if format_of(found.path) else UNKNOWN_ENDING


def is_hidden(path: str) -> bool:
    """Says whether a name in a path says that it is not for us."""
    return any(part.startswith((".", "_")) for part in path.split("/"))


def _below(landing: Landing, folder: str) -> list[Found]:
    """Returns what is below a folder that no reader has; that it cannot be listed is an entry."""
    try:
        return list(_found(landing, folder))
    except Exception:  # noqa: BLE001 - whatever the store raised, it is one folder's problem
        return [Found("", CANNOT_BE_LISTED)]


def list_entries(
    landing: Landing, folder: str, since: date | None = None, changed_s: float | None = None
) -> list[Found]:
    """Returns all that is below a folder, but for folders; nothing when it does not exist.

    A folder for days before `since` is one entry, as list_folder says.

    Raises:
        LandingMissingError: There is no landing zone.
        LandingUnavailableError: The folder cannot be listed.
    """
    landing.check()
    try:
        return list(_found(landing, folder, since, changed_s))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except Exception as error:
        raise landing.unavailable(folder, error) from error


def _children(landing: Landing, above: str) -> list[tuple[str, bool]]:
    """Returns the names in one folder of the zone, each with whether it is a folder itself."""
    try:
        found = landing.filesystem.ls(f"{landing.root}/{above}".rstrip("/"), detail=True)
        return [
            (str(each["name"]).rstrip("/").rsplit("/", 1)[-1], each["type"] == "directory")
            for each in found
        ]
    except FileNotFoundError:
        return []
    except Exception as error:
        raise landing.unavailable(above, error) from error


def _found(
    landing: Landing, folder: str, since: date | None = None, changed_s: float | None = None
) -> Iterator[Found]:
    if landing.is_local:
        yield from walk(landing.root, folder, since, changed_s)
        return
    if changed_s is not None:
        since = None
    if landing.has_prefixes_only and since is None:
        # One request for a thousand names, where a folder is no more than a part of them.
        base = f"{landing.root}/{folder}"
        for path, details in landing.filesystem.find(base, detail=True).items():
            if not path.endswith("/"):
                yield _of_store(path[path.index(base) + len(base) + 1 :], details)
    else:
        yield from _walk_store(landing, f"{landing.root}/{folder}", since)


def _walk_store(landing: Landing, base: str, since: date | None) -> Iterator[Found]:
    """Yields what is below a folder; fsspec's own way would leave out what cannot be listed."""
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            entries = landing.filesystem.ls(f"{base}/{below}".rstrip("/"), detail=True)
        except Exception:
            if not below:
                raise
            yield Found(below, CANNOT_BE_LISTED)
            continue
        for details in entries:
            path = f"{below}{str(details['name']).rstrip('/').rsplit('/', 1)[-1]}"
            if details["type"] != "directory":
                yield _of_store(path, details)
            elif path.rsplit("/", 1)[-1].startswith((".", "_")):
                yield Found(f"{path}/")
            elif is_older(path, since):
                yield Found(f"{path}/", OLDER)
            else:
                waiting.append(f"{path}/")


def _of_store(path: str, details: Mapping[str, Any]) -> Found:
    """Returns an entry by what a store says of it: its tag, or size and times, is its version."""
    if details.get("islink") or details.get("type", "file") != "file":
        return Found(path, NOT_A_FILE)
    size = int(details.get("size") or 0)
    times = ("mtime", "LastModified", "last_modified", "updated", "created")
    written_s = next((_seconds(details[name]) for name in times if details.get(name)), 0.0)
    tag = details.get("ETag") or details.get("etag")
    version = str(tag).strip('"') if tag else f"{size}-{round(written_s * 1e6)}"
    return Found(path, "", size, written_s, version)


def _seconds(written: Any) -> float:
    """Returns a store's time in seconds since 1970, 0 for one that cannot be read."""
    try:
        if isinstance(written, str):
            written = datetime.fromisoformat(written)
        if isinstance(written, datetime):
            return (written if written.tzinfo else written.replace(tzinfo=UTC)).timestamp()
        return float(written)
    except (ValueError, TypeError, OverflowError):
        return 0.0
