"""Backs up the three databases by the engine's own BACKUP, and restores them.

A backup is made of whole parts, with checksums of its own. Writers wait meanwhile: the embedded
warehouse belongs to one process anyway, and of a server every writer's lease is held. A backup that
is stopped leaves no folder of the name that was asked for; a restore that is stopped leaves the
warehouse as it was (embedded) or is begun again on empty databases (server).

Source of the statements: ClickHouse's documentation of BACKUP and RESTORE.
"""

import contextlib
import logging
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from masques_pipelines.errors import PermanentError
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.errors import WarehousePermanentError, one_line
from masques_pipelines.warehouse.lease import Lease, writer_lease
from masques_pipelines.warehouse.refreshable import RefreshableView, stopped
from masques_pipelines.warehouse.sql import sql

FORMS: Final = "a new folder (embedded), or disk://NAME/folder on a disk of the server"
_DISK: Final = re.compile(r"disk://(?P<disk>[A-Za-z0-9_-]+)/(?P<path>[^'\\]+)")
# By itself the engine leaves out the rows of a table that a refreshable view fills.
_WHOLE: Final = " SETTINGS backup_data_from_refreshable_materialized_view_targets = 1"
POLL_S: Final = 0.2
_LOG_EVERY_S: Final = 30.0
_DONE: Final = ("BACKUP_CREATED", "RESTORED")
_BEGUN: Final = ("CREATING_BACKUP", "RESTORING")

logger = logging.getLogger(__name__)


class BackupError(PermanentError):
    """A backup or a restore cannot be made; the text says why and what to do."""


@dataclass(frozen=True)
class Backup:
    """A backup that was made.

    Attributes:
        place: Where it is, as it was asked for.
        files: Number of its files.
        size_bytes: Their size together.
    """

    place: str
    files: int
    size_bytes: int


def back_up(
    warehouse: Warehouse, place: str, databases: tuple[str, ...], writers: tuple[str, ...]
) -> Backup:
    """Writes all rows and definitions of the databases to a new place.

    Args:
        warehouse: Embedded or a server.
        place: As FORMS says.
        databases: What is backed up.
        writers: Names of the leases under which these are written.

    Raises:
        BackupError: The place has another form or holds something already, or the engine failed.
        LeaseBusyError: A writer did not end in time.
    """
    missing = [name for name in databases if name not in _databases(warehouse)]
    if missing:
        raise BackupError(
            f"{warehouse.description}: there is nothing to back up, the database {missing[0]} is "
            "not there: is this the warehouse that you mean?"
        )
    what = "BACKUP " + ", ".join(f"DATABASE {name}" for name in databases)
    with _all_leases(warehouse, writers) as leases:
        if not warehouse.is_embedded:
            done = _run(warehouse, f"{what} TO {_on_disk(place)}{_WHOLE}", leases)
            return Backup(place, *done)
        folder = _new_folder(place)
        with _beside(folder) as unfinished:
            to = _in_folder(unfinished / "backup")
            done = _run(warehouse, f"{what} TO {to}{_WHOLE}", leases)
            (unfinished / "backup").rename(folder)
        return Backup(str(folder), *done)


def check_empty(warehouse: Warehouse, databases: tuple[str, ...]) -> None:
    """Refuses a warehouse that has one of the databases: a restore mixes nothing.

    Raises:
        BackupError: It has; the text says how to make room.
    """
    taken = [name for name in databases if name in _databases(warehouse)]
    if taken:
        room = (
            f"drop {', '.join(f'DATABASE {name}' for name in taken)}"
            if not warehouse.is_embedded
            else "move its folder away"
        )
        raise BackupError(
            f"{warehouse.description}: the database {taken[0]} is there already, and a restore "
            f"mixes nothing: {room}, then restore again"
        )


def _databases(warehouse: Warehouse) -> list[str]:
    return [str(name) for (name,) in warehouse.rows(sql("warehouse/databases"))]


def restore_databases(
    warehouse: Warehouse, place: str, databases: tuple[str, ...], view: RefreshableView
) -> None:
    """Makes the databases as a backup holds them.

    Args:
        warehouse: Without any of the databases.
        place: As it was given to `back_up`.
        databases: What it holds.
        view: Fills a table of theirs: it is restored stopped, and its table after it, so that the
            rows are those of the backup and not a refresh amid the restore.

    Raises:
        BackupError: A database is there already, or the place holds no backup.
    """
    check_empty(warehouse, databases)
    source = _on_disk(place) if not warehouse.is_embedded else _in_folder(_backup_folder(place))
    owner = view.name.split(".", 1)[0]
    # The tables that are left out go last: a comma after them would be taken for one more.
    listed = "".join(f"DATABASE {name}, " for name in databases if name != owner)
    left_out = f"DATABASE {owner} EXCEPT TABLES {view.name}, {view.target}"
    _run(warehouse, f"RESTORE {listed}{left_out} FROM {source}", [])
    _run(warehouse, f"RESTORE TABLE {view.target} FROM {source} SETTINGS structure_only = 1", [])
    _run(warehouse, f"RESTORE TABLE {view.name} FROM {source}", [])
    with stopped(warehouse, view):
        warehouse.command(f"TRUNCATE TABLE {view.target}")
        _run(warehouse, f"RESTORE TABLE {view.target} FROM {source}", [])


def _run(warehouse: Warehouse, statement: str, leases: list[Lease]) -> tuple[int, int]:
    """Runs a statement in the background until it ends; returns its files and bytes."""
    asked = str(uuid.uuid4())
    settings = "," if " SETTINGS " in statement else " SETTINGS"
    try:
        warehouse.command(f"{statement}{settings} id = '{asked}' ASYNC")
    except WarehousePermanentError as error:
        # Sent twice, the second is refused: what counts is how the first goes on.
        if _state(warehouse, asked) is None:
            raise _refused(statement, str(error)) from error
    logged_s = time.monotonic()
    while True:
        state = _state(warehouse, asked)
        if state is None:
            raise _refused(statement, "the engine lost it: it was restarted meanwhile")
        status, error_text, files, size = state
        if status in _DONE:
            return files, size
        if status not in _BEGUN:
            raise _refused(statement, one_line(error_text))
        for lease in leases:
            lease.hold()
        if time.monotonic() - logged_s > _LOG_EVERY_S:
            logged_s = time.monotonic()
            logger.info("%s: %s files, %.0f MB so far", status.lower(), f"{files:,}", size / 1e6)
        time.sleep(POLL_S)


def _refused(statement: str, reason: str) -> BackupError:
    what = statement.split(" ", 1)[0].lower()
    return BackupError(f"the {what} failed: {reason}")


def _state(warehouse: Warehouse, asked: str) -> tuple[str, str, int, int] | None:
    rows = warehouse.rows(sql("warehouse/backup_state"), {"id": asked})
    if not rows:
        return None
    status, error, files, size = rows[0]
    return str(status), str(error), int(files), int(size)


@contextlib.contextmanager
def _all_leases(warehouse: Warehouse, names: tuple[str, ...]) -> Iterator[list[Lease]]:
    with contextlib.ExitStack() as held:
        yield [held.enter_context(writer_lease(warehouse, name)) for name in names]


def _on_disk(place: str) -> str:
    match = _DISK.fullmatch(place)
    if match is None:
        raise BackupError(f"{place}: is no place for a server's backup: give {FORMS}")
    return f"Disk('{match['disk']}', '{match['path']}')"


def _in_folder(folder: Path) -> str:
    path = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    return f"File('{path}')"


def _new_folder(place: str) -> Path:
    folder = _folder(place)
    if folder.exists() or folder.is_symlink():
        raise BackupError(
            f"{folder}: is there already, and a backup overwrites nothing: name a new folder"
        )
    if not folder.parent.is_dir():
        raise BackupError(f"{folder}: {folder.parent} is no folder: make it first")
    return folder


def _backup_folder(place: str) -> Path:
    folder = _folder(place)
    if not (folder / ".backup").is_file():
        raise BackupError(f"{folder}: holds no backup (no file .backup): name its folder")
    return folder


def _folder(place: str) -> Path:
    if "://" in place:
        raise BackupError(f"{place}: the embedded warehouse is backed up into a folder: give one")
    return Path(place).expanduser().absolute()


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """Yields a folder beside the one that is to be made, and removes it at the end."""
    try:
        unfinished = Path(
            tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".unfinished", dir=folder.parent)
        )
    except OSError as error:
        raise BackupError(
            f"{folder.parent}: cannot be written ({error.strerror}): name a folder elsewhere"
        ) from error
    try:
        yield unfinished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
