"""Opens the embedded engine (chDB) under a file lock, with its options and memory limits.

One process at a time may open a chDB folder. The kernel releases the lock when its holder dies,
however it dies; insert files that a killed process left behind are removed under the lock.

Why a lock of our own: the engine answers a second process with one generic error, the same as for
a damaged folder, so a caller could not wait for it (chDB 4.4.0).
"""

import contextlib
import fcntl
import functools
import importlib
import logging
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import quote, urlencode

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from masques_pipelines.warehouse.client import CLIENT_SETTINGS
from masques_pipelines.warehouse.engine_noise import without_cgroup_noise
from masques_pipelines.warehouse.errors import (
    WarehouseBusyError,
    WarehousePermanentError,
    WarehouseServedError,
    one_line,
    unwritable,
)
from masques_pipelines.warehouse.interrupts import EngineCalls, raise_if_lost
from masques_pipelines.warehouse.spool import is_held_spool

LOCK_TIMEOUT_S: Final = 600.0
LOCK_POLL_S: Final = 0.1
LOG_EVERY_S: Final = 10.0

# Without limits the engine takes 0.9 of the machine's memory and a 5 GB mark cache. It counts the
# whole process, about 300 MB before the first row.
ENGINE_OPTIONS: Final = {
    "max_server_memory_usage": "2000000000",
    "mark_cache_size": "67108864",
    "background_pool_size": "2",
    # Where BACKUP and RESTORE may go: wherever this user may write, like every statement that
    # names a file. The engine's own configuration does not take it.
    "backups.allowed_path": "/",
}
SESSION_SETTINGS: Final = {
    "max_memory_usage": "1600000000",
    "max_bytes_before_external_group_by": "400000000",
    "max_bytes_before_external_sort": "400000000",
}

# The profile of the engine: it holds for refreshes, merges and background work too, which run in no
# session of ours. Only a configuration file can set it; the options above cannot.
#
# An embedded engine forgets when a view was last refreshed, so every open would run every
# refreshable view at once.
#
# By default the engine wants 1 GiB of free memory for each thread of a query and 4 GiB for each
# inserting thread: under the limits above it would never use a second core (seen: 2.9 s of clock
# where two cores take 1.5 s).
#
# The query condition cache remembers which granules of a part hold nothing for a condition. It was
# reported to hide rows (ClickHouse issues 108519 and 116853): a right answer comes before a quick
# one.
_PROFILE: Final = {
    "stop_refreshable_materialized_views_on_startup": 1,
    "max_threads_min_free_memory_per_thread": 268435456,
    "max_insert_threads_min_free_memory_per_thread": 268435456,
    "use_query_condition_cache": 0,
    **CLIENT_SETTINGS,
}
_CONFIG_XML: Final = """<clickhouse>
  <user_directories><users_xml><path>{users_path}</path></users_xml></user_directories>
</clickhouse>
"""
_USERS_XML: Final = """<clickhouse>
  <profiles><default>
  {profile}
  </default></profiles>
  <users><default>
    <password></password><profile>default</profile><quota>default</quota>
    <networks><ip>::/0</ip></networks>
  </default></users>
  <quotas><default></default></quotas>
</clickhouse>
"""


_CANCEL: Final = "KILL QUERY WHERE query_id != queryID() ASYNC"


@dataclass
class _Hold:
    """This process's hold on one warehouse folder, shared by all its clients."""

    descriptor: int
    users: int = 0


@dataclass
class _Holds:
    by_folder: dict[Path, _Hold] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)


_HOLDS: Final = _Holds()
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Engine:
    """An open embedded engine.

    Attributes:
        client: The driver's client; one call at a time.
        calls: Runs a call of the client so that a signal ends it.
    """

    client: Client
    calls: EngineCalls


@contextlib.contextmanager
def open_embedded(
    folder: Path, *, lock_timeout_s: float, is_served: Callable[[], bool] = lambda: False
) -> Iterator[Engine]:
    """Opens the engine on a folder, waiting for another process to release it.

    Args:
        folder: The engine's data; created when it does not exist.
        lock_timeout_s: Longest wait for another process, 0 to not wait at all.
        is_served: Asked while it waits: whether the other process answers for the engine by now.

    Raises:
        WarehouseServedError: It does, so there is nothing to wait for.
        WarehouseBusyError: Another process still holds the folder; the text names it.
        WarehousePermanentError: The engine cannot open the folder.
    """
    folder = Path(os.path.realpath(folder))
    side = side_folder(folder)
    _make_folders(folder, side)
    with _held(folder, lock_timeout_s=lock_timeout_s, is_served=is_served):
        _write_configuration(side)
        calls = EngineCalls(functools.partial(_cancel_queries, folder, side))
        client = _connect(folder, side)
        try:
            yield Engine(client, calls)
        finally:
            calls.close()
            if calls.is_abandoned:
                # Until the process ends, the engine is in use: nobody else may open the folder.
                _HOLDS.by_folder[folder].users += 1
            else:
                client.close()


@contextlib.contextmanager
def owned(folder: Path, options: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    """Holds the folder for a process that serves it; it waits for others as long as they need.

    Args:
        folder: The engine's data; created when it does not exist.
        options: Of the engine, over those of a process that opens it for itself.

    Yields:
        The engine's address with all options, and the folder beside it.
    """
    folder = Path(os.path.realpath(folder))
    side = side_folder(folder)
    _make_folders(folder, side)
    with _held(folder, lock_timeout_s=math.inf):
        _write_configuration(side)
        _load_engine()
        asked = {**ENGINE_OPTIONS, **options, "config-file": str(side / "config.xml")}
        yield f"file:{folder}?{urlencode(asked, quote_via=quote)}", side


def side_folder(folder: Path) -> Path:
    """Returns the folder beside the engine's data: lock, configuration, insert files."""
    folder = Path(os.path.realpath(folder))
    return folder.with_name(folder.name + ".engine")


def inserts_folder(folder: Path) -> Path:
    """Returns where the driver's temporary insert files of this warehouse live."""
    return side_folder(Path(os.path.realpath(folder))) / "inserts"


@contextlib.contextmanager
def temporary_files_in(folder: Path) -> Iterator[None]:
    """Makes the driver write its insert file there: it uses `tempfile` and has no option for it.

    In the system's folder a killed insert would leave its page behind for ever, and that folder may
    be too small or in memory.
    """
    with _TEMPORARY_FILES:
        before = tempfile.tempdir
        tempfile.tempdir = str(folder)
        try:
            yield
        finally:
            tempfile.tempdir = before


_TEMPORARY_FILES: Final = threading.Lock()


@contextlib.contextmanager
def replacing(folder: Path, *, lock_timeout_s: float) -> Iterator[Path]:
    """Yields an empty folder for an engine, which becomes `folder` when the block has ended well.

    Until then nothing of `folder` changes: whatever ends the block, or the process, leaves it as it
    was. What such a block left behind is removed by the next one.

    Args:
        folder: The engine's data. It may hold an engine that the caller found to be empty.
        lock_timeout_s: Longest wait for another process that has it open.

    Raises:
        WarehouseBusyError: Another process still holds the folder; the text names it.
    """
    folder = Path(os.path.realpath(folder))
    side = side_folder(folder)
    _make_folders(folder, side)
    made = folder.with_name(folder.name + ".made")
    with _held(folder, lock_timeout_s=lock_timeout_s):
        for left in (made, side_folder(made)):
            shutil.rmtree(left, ignore_errors=True)
        yield made
        shutil.rmtree(folder)
        made.rename(folder)
        shutil.rmtree(side_folder(made), ignore_errors=True)


@contextlib.contextmanager
def emptied(folder: Path, *, lock_timeout_s: float) -> Iterator[None]:
    """Removes an engine's data, and keeps every other process from the folder during the block.

    Args:
        folder: The engine's data; it is there and empty afterwards.
        lock_timeout_s: Longest wait for another process that has it open.

    Raises:
        WarehouseBusyError: Another process still holds the folder; the text names it.
    """
    folder = Path(os.path.realpath(folder))
    side = side_folder(folder)
    _make_folders(folder, side)
    with _held(folder, lock_timeout_s=lock_timeout_s):
        shutil.rmtree(folder)
        _make_folders(folder, side)
        yield


def _make_folders(folder: Path, side: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (side / "inserts").mkdir(parents=True, exist_ok=True)
        for private in (folder, side):
            _close_to_others(private)
    except OSError as error:
        raise WarehousePermanentError(
            f"{folder}: the warehouse folder cannot be created ({error.strerror}): "
            "give MASQUES_HOME or MASQUES_CLICKHOUSE_URL a folder that this user may write"
        ) from error


def _close_to_others(folder: Path) -> None:
    """Takes a folder's rights from all but its owner: quarantine holds rows as they were sent."""
    mode = folder.stat().st_mode & 0o777
    if mode & 0o077:
        with contextlib.suppress(PermissionError):  # somebody else's folder stays as it is
            folder.chmod(mode & 0o700)


@contextlib.contextmanager
def _held(
    folder: Path, *, lock_timeout_s: float, is_served: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Holds the lock of the folder for this process; further clients of it share the hold."""
    with _HOLDS.guard:
        hold = _HOLDS.by_folder.get(folder)
        if hold is None:
            descriptor = _lock(folder, lock_timeout_s=lock_timeout_s, is_served=is_served)
            hold = _HOLDS.by_folder[folder] = _Hold(descriptor)
            _sweep(inserts_folder(folder))
        hold.users += 1
    try:
        yield
    finally:
        with _HOLDS.guard:
            hold.users -= 1
            if hold.users == 0:
                del _HOLDS.by_folder[folder]
                os.close(hold.descriptor)


def _lock(folder: Path, *, lock_timeout_s: float, is_served: Callable[[], bool]) -> int:
    path = side_folder(folder) / "lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:  # another user's, or a file system that is read-only
        raise unwritable(path, error) from error
    try:
        started_s = logged_s = time.monotonic()
        while not _try_lock(descriptor):
            if is_served():
                _refuse_served(folder)
            now_s = time.monotonic()
            holder = os.pread(descriptor, 400, 0).decode("utf-8", "replace") or "another process"
            if now_s - started_s >= lock_timeout_s:
                _refuse(folder, holder)
            if now_s - logged_s >= LOG_EVERY_S:
                logger.warning(
                    "waiting for %s: in use by %s (%.0f s)", folder, holder, now_s - started_s
                )
                logged_s = now_s
            raise_if_lost(started_s)
            time.sleep(LOCK_POLL_S)
        os.ftruncate(descriptor, 0)
        with contextlib.suppress(OSError):  # a full disk: the lock holds without a name in it
            os.pwrite(descriptor, _this_process().encode(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _refuse(folder: Path, holder: str) -> NoReturn:
    raise WarehouseBusyError(
        f"{folder}: the warehouse is in use by {holder}: wait for it to end, stop it, "
        "or use a ClickHouse server (MASQUES_CLICKHOUSE_URL), which serves many"
    )


def _refuse_served(folder: Path) -> NoReturn:
    raise WarehouseServedError(f"{folder}: another process answers for it: run this again")


def _this_process() -> str:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    return f"process {os.getpid()} ({command}) since {since}"


def _sweep(folder: Path) -> None:
    """Removes files of killed inserts.

    Under the lock no other process has the engine open. One that asks a process which serves it
    keeps its rows here meanwhile, and holds a lock on each such file.
    """
    for leftover in folder.iterdir():
        if not is_held_spool(leftover):
            leftover.unlink(missing_ok=True)


def _write_configuration(side: Path) -> None:
    config_path, users_path = side / "config.xml", side / "users.xml"
    try:
        profile = "\n  ".join(f"<{name}>{value}</{name}>" for name, value in _PROFILE.items())
        users_path.write_text(_USERS_XML.format(profile=profile), encoding="utf-8")
        config_path.write_text(_CONFIG_XML.format(users_path=users_path), encoding="utf-8")
    except OSError as error:
        raise unwritable(side, error) from error


def _cancel_queries(folder: Path, side: Path) -> None:
    """Cancels every query of this process's engine, through a client of its own."""
    with contextlib.closing(_connect(folder, side)) as client:
        client.command(_CANCEL)


def _connect(folder: Path, side: Path) -> Client:
    _load_engine()
    try:
        with without_cgroup_noise():
            return clickhouse_connect.get_client(
                interface="chdb",
                path=str(folder),
                settings=SESSION_SETTINGS,
                chdb_options={**ENGINE_OPTIONS, "config-file": str(side / "config.xml")},
            )
    except ClickHouseError as error:
        raise WarehousePermanentError(
            f"{folder}: the embedded engine cannot open it: {_reason(folder, side, error)}. "
            f"{_what_to_do(folder)}. Keep the folder until another one serves: decisions on "
            "quarantine, seals, the history of scores, versions of models and rates, and what was "
            "known when are not built again from the sources"
        ) from error


_REASON: Final = "import sys, chdb; chdb.connect(sys.argv[1])"
_REASON_TIMEOUT_S: Final = 60.0
# Of nested errors, each in the text of the one before, the last is the cause.
_ENGINE_ERROR: Final = re.compile(
    r"Code: (?P<code>\d+)\. DB::Exception: (?P<text>(?:(?!Code: \d| from query | \([A-Z_]+\)).)*)"
)


def _reason(folder: Path, side: Path, error: ClickHouseError) -> str:
    """Returns why the engine did not start, which it only writes to the process's stderr.

    Another process is asked, so that this one's stderr stays its own.
    """
    url = f"file:{folder}?{urlencode({'config-file': str(side / 'config.xml')}, quote_via=quote)}"
    try:
        asked = subprocess.run(  # noqa: S603 - this interpreter, a folder as its argument
            [sys.executable, "-c", _REASON, url],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_REASON_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return one_line(str(error))
    said = [
        match
        for match in _ENGINE_ERROR.finditer(asked.stderr.split("Traceback", 1)[0])
        if match["text"].strip(" .,:'")
    ]
    if not said:
        return one_line(str(error))
    return one_line(f"code {said[-1]['code']}: {said[-1]['text'].strip(' .,')}")


def _what_to_do(folder: Path) -> str:
    followed = [
        entry
        for entry in (folder / "metadata").glob("*")
        if entry.is_dir() and not entry.is_symlink()
    ]
    if followed:
        return (
            f"It is a copy that followed symbolic links ({followed[0]} has to be one): copy the "
            "original again with its links (cp -a), or use masques backup and masques restore"
        )
    return (
        "Free what it asks for and run again; if a newer release of the engine wrote the folder, "
        "run that one; if it is damaged, move it away and load a backup (masques restore FOLDER)"
    )


def _load_engine() -> None:
    """Loads the engine's package without pyarrow, of which it takes along what is installed.

    It needs pyarrow only to return Arrow tables, which nothing here asks it for. Loading it, and
    numpy with it, costs each command 0.4 s of CPU, a tenth of a first migration (chDB 4.4.0).

    It has no option for that. A lazy module (importlib.util.LazyLoader) would say the same without
    withholding anything, but two threads that use it first at once find it half loaded before
    Python 3.12.3, and files are read in threads here.
    """
    if {"chdb.state", "pyarrow"} & set(sys.modules):
        return
    withheld: dict[str, object] = sys.modules  # type: ignore[assignment]
    withheld["pyarrow"] = None  # to Python: not installed
    try:
        with without_cgroup_noise():
            importlib.import_module("chdb.state")
    finally:
        del withheld["pyarrow"]
