"""Lists and opens files of a landing zone on this machine, without following a link out of it.

Producers may write there, so a path is not trusted: between the listing and the reading a file can
become a link to one of ours. Opening goes down from the zone's root folder by folder and refuses a
link at each step, whatever the listing said.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import BinaryIO, Final, cast

from masques_pipelines.landing.dates import is_older

# Why an entry is passed over; docs/intake.md says what to do about each.
NOT_A_FILE: Final = "not_a_file"
DANGLING_LINK: Final = "dangling_link"
LINK_TO_FOLDER: Final = "link_to_folder"
LEAVES_THE_ZONE: Final = "leaves_the_zone"
CANNOT_BE_LISTED: Final = "cannot_be_listed"
# A folder of older days, which this listing leaves out.
OLDER: Final = "older"

# A pipe without a writer must not block: it is opened, seen to be no file, and closed.
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class OutsideError(OSError):
    """A path leads out of the landing zone, or to something that is not a file."""


@dataclass(frozen=True)
class Found:
    """One entry of a folder that is not a folder itself.

    Attributes:
        path: Path below the folder, as the system names it.
        reason: Why it cannot be read, '' for a regular file.
        bytes: Its size.
        written_s: When it was written, seconds since 1970.
        version: Changes with its content: size, time of writing, time of the last change.
    """

    path: str
    reason: str = ""
    bytes: int = 0
    written_s: float = 0.0
    version: str = ""


def walk(
    root: str, folder: str, since: date | None = None, changed_s: float | None = None
) -> Iterator[Found]:
    """Yields what is below a folder of the zone; folders with hidden names are one entry each.

    A folder for days before `since` is one entry too, with the reason OLDER; with `changed_s` only
    when nothing was added to it or removed from it since then.

    Raises:
        OSError: The folder itself cannot be listed. One below it is an entry with a reason.
    """
    real_root = os.path.realpath(root)
    real = os.path.realpath(os.path.join(root, folder))
    if real != os.path.join(real_root, folder):
        yield Found("", LINK_TO_FOLDER if _is_inside(real, real_root) else LEAVES_THE_ZONE)
        return
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            with os.scandir(os.path.join(root, folder, below)) as entries:
                found = list(entries)
        except OSError:
            if not below:
                raise
            yield Found(below, CANNOT_BE_LISTED)
            continue
        for entry in found:
            path = f"{below}/{entry.name}" if below else entry.name
            with contextlib.suppress(FileNotFoundError):  # it is gone again
                if not entry.is_dir(follow_symlinks=False):
                    yield _found(real_root, path, entry)
                elif entry.name.startswith((".", "_")):
                    yield Found(f"{path}/")
                elif is_older(path, since) and _is_quiet(entry.path, changed_s):
                    yield Found(f"{path}/", OLDER)
                else:
                    waiting.append(path)


def _is_quiet(folder: str, changed_s: float | None) -> bool:
    """Says whether no entry of a folder, or of one below, came or went since a time."""
    if changed_s is None:
        return True
    try:
        details = os.stat(folder)
        # One that is moved here, or whose time is set, has a new time of change.
        if max(details.st_mtime, details.st_ctime) >= changed_s:
            return False
        with os.scandir(folder) as entries:
            below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return False
    return all(_is_quiet(each, changed_s) for each in below)


def _found(real_root: str, path: str, entry: "os.DirEntry[str]") -> Found:
    details = entry.stat(follow_symlinks=False)
    if stat.S_ISLNK(details.st_mode):
        try:
            details = os.stat(entry.path)
        except OSError:
            return Found(path, DANGLING_LINK)
        if stat.S_ISDIR(details.st_mode):
            return Found(path, LINK_TO_FOLDER)
        if not _is_inside(os.path.realpath(entry.path), real_root):
            return Found(path, LEAVES_THE_ZONE)
    if not stat.S_ISREG(details.st_mode):
        return Found(path, NOT_A_FILE)
    # A file rewritten with its old size and time has a new time of change, which nobody can set.
    version = f"{details.st_size}-{details.st_mtime_ns // 1000}-{details.st_ctime_ns // 1000}"
    return Found(path, "", details.st_size, details.st_mtime, version)


def open_inside(root: str, path: str) -> BinaryIO:
    """Opens a regular file below the zone's root; a link is followed only within the zone.

    Raises:
        OutsideError: It leads out of the zone, or is not a file.
        OSError: It cannot be opened.
    """
    real_root = os.path.realpath(root)
    real = os.path.realpath(os.path.join(root, path), strict=True)
    if not _is_inside(real, real_root):
        raise OutsideError(errno.EXDEV, "it leads out of the landing zone")
    *folders, name = os.path.relpath(real, real_root).split(os.sep)
    folder = os.open(real_root, _FLAGS | os.O_DIRECTORY)
    try:
        for each in folders:
            below = os.open(each, _FLAGS | os.O_DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = below
        file = os.open(name, _FLAGS, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OutsideError(errno.EINVAL, "it is not a regular file")
    return cast("BinaryIO", os.fdopen(file, "rb"))


def _is_inside(path: str, root: str) -> bool:
    return path.startswith(root.rstrip("/") + "/")
