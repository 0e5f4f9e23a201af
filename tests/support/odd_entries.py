"""Entries of a folder that are no ordinary file, and stores that fail."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fsspec.implementations.memory import MemoryFileSystem

from masques_pipelines.landing.zone import Landing

SECRET = "https://user:hunter2@store"


def _socket(path: Path) -> None:
    made = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is short
    try:
        made.bind(path.name)
    finally:
        os.chdir(here)
        made.close()


def _link_out(path: Path) -> None:
    outside = path.parent.parent.parent / "outside.env"
    outside.write_text("MASQUES_PASSWORD=hunter2\n")
    path.symlink_to(outside)


def _linked_folder(path: Path) -> None:
    inside = path.parent.parent / "elsewhere"
    inside.mkdir(exist_ok=True)
    path.symlink_to(inside)


# What makes an entry, and why the listing passes it over.
ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe.ndjson": (os.mkfifo, "not_a_file"),
    "socket.ndjson": (_socket, "not_a_file"),
    "device.ndjson": (lambda path: path.symlink_to("/dev/zero"), "leaves_the_zone"),
    "dangling.ndjson": (lambda path: path.symlink_to("nothing"), "dangling_link"),
    "loop.ndjson": (lambda path: path.symlink_to(path.name), "dangling_link"),
    "out.ndjson": (_link_out, "leaves_the_zone"),
    "passwd": (lambda path: path.symlink_to("/etc/passwd"), "leaves_the_zone"),
    "folder.ndjson": (_linked_folder, "link_to_folder"),
    "root.ndjson": (lambda path: path.symlink_to("/"), "link_to_folder"),
    "day.json": (lambda path: path.write_text("{}"), "unknown_ending"),
    "day.ndjson.bz2": (lambda path: path.write_text("{}"), "unknown_ending"),
    "day.ndjson.1": (lambda path: path.write_text("{}"), "unknown_ending"),
    "noending": (lambda path: path.write_text("{}"), "unknown_ending"),
    ".hidden.ndjson": (lambda path: path.write_text("{}"), "hidden"),
    "_SUCCESS": (lambda path: path.write_text(""), "hidden"),
}


def drop_odd(folder: Path) -> dict[str, str]:
    """Makes one of each; returns the reasons by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (make, _reason) in ODD.items():
        make(folder / name)
    return {name: reason for name, (_make, reason) in ODD.items()}


# Whatever a store's library raises; none of it is a subclass of another here.
FAULTS: tuple[Exception, ...] = (
    OSError(errno.EIO, "Input/output error"),
    PermissionError(errno.EACCES, "Permission denied"),
    FileNotFoundError(errno.ENOENT, "No such file or directory"),
    TimeoutError(SECRET),
    ValueError(SECRET),
    RuntimeError(SECRET),
    KeyError(SECRET),
    MemoryError(),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
)


class _Failing:
    """A file of the store that gives its first bytes and then fails."""

    def __init__(self, opened: Any, error: Exception) -> None:
        self._opened, self._error = opened, error
        self._reads = 0

    def read(self, size: int = -1) -> bytes:
        self._reads += 1
        if self._reads > 1:
            raise self._error
        return bytes(self._opened.read(min(size, 100)))

    def __enter__(self) -> "_Failing":
        return self

    def __exit__(self, *_error: object) -> None:
        self._opened.close()


class FaultyStore(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A store in which some files, or the listing, fail."""

    cachable = False
    # fsspec's own is shared by all stores in memory.
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs: list[str] = [""]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.store, self.pseudo_dirs = {}, [""]
        self.fails: dict[str, tuple[Exception, str]] = {}
        self.listing: Exception | None = None
        # Says of a listed path what it fails with.
        self.listing_of: Callable[[str], Exception | None] = lambda _path: self.listing
        self.opened: list[str] = []

    def ls(self, path: str, detail: bool = True, **more: Any) -> Any:
        error = self.listing_of(path)
        if error is not None:
            raise error
        return super().ls(path, detail=detail, **more)

    def open(self, path: str, mode: str = "rb", **more: Any) -> Any:
        self.opened.append(path.rsplit("/", 1)[-1])
        error, when = self.fails.get(path.rsplit("/", 1)[-1], (None, ""))
        if error is not None and when == "open":
            raise error
        opened = super().open(path, mode, **more)
        return opened if error is None else _Failing(opened, error)

    def put_files(self, files: dict[str, bytes]) -> Landing:
        for path, data in files.items():
            self.pipe(f"/landing/{path}", data)
        return Landing(self, "/landing", "s3://landing")
