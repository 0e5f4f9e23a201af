"""Loads files again that were read before, whatever is recorded of them.

Rows that are there already are duplicates, so the table is the same afterwards; rows that were lost
come back. Of a whole table, days whose content is not what was written are loaded from nothing.

A kill in between leaves files that were begun, which the next run loads, and rows that were set
aside, which the next reload puts back.
"""

from masques_pipelines.errors import PermanentError
from masques_pipelines.intake.channels import ONE_CHANNEL, Channels
from masques_pipelines.intake.restore import conclude, detach_broken, set_aside
from masques_pipelines.intake.run import LEASE, RUN_FILES_MAX, IntakeResult, load_files
from masques_pipelines.intake.tables import TABLES, IntakeTable
from masques_pipelines.inventory.compare import damaged
from masques_pipelines.inventory.tables import BY_ASSET
from masques_pipelines.inventory.writes import counted
from masques_pipelines.landing.file_log import FileLog
from masques_pipelines.landing.listing import SETTLE_S, list_folder
from masques_pipelines.landing.zone import Landing, LandingFile
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import writer_lease
from masques_pipelines.warehouse.sql import sql


class FileNotThereError(PermanentError):
    """The landing zone has no such file that the intake reads."""


def reload_table(
    warehouse: Warehouse,
    landing: Landing,
    table: IntakeTable,
    *,
    channels: Channels = ONE_CHANNEL,
    settle_s: float = SETTLE_S,
) -> IntakeResult:
    """Loads every file of a table's folders again, after the keys of its rows were written again.

    Raises:
        LandingUnavailableError, LandingMissingError, IntakeIncompleteError, LeaseBusyError,
        LeaseLostError, WarehouseTransientError, WarehousePermanentError: as load_table.
    """
    within = channels.folders(table.name)
    listed = list_folder(landing, table.name, within=within, settle_s=settle_s)
    return _reload(warehouse, landing, table, listed.files, channels, is_whole_table=True)


def reload_file(
    warehouse: Warehouse,
    landing: Landing,
    path: str,
    *,
    channels: Channels = ONE_CHANNEL,
    settle_s: float = SETTLE_S,
) -> IntakeResult:
    """Loads one file again.

    Args:
        warehouse: The target.
        landing: The landing zone.
        path: The file's path below the landing zone, or with the zone in front.
        channels: Who delivers where, and what they may.
        settle_s: How long ago a file must have been written.

    Raises:
        FileNotThereError: There is no such file, or it is not one that is read.
        LandingUnavailableError, LandingMissingError, IntakeIncompleteError, LeaseBusyError,
        LeaseLostError, WarehouseTransientError, WarehousePermanentError: as load_table.
    """
    below = path.removeprefix(f"{landing.description}/").removeprefix(f"{landing.root}/")
    for table in TABLES.values():
        within = [each for each in channels.folders(table.name) if below.startswith(f"{each}/")]
        if within:
            listed = list_folder(landing, table.name, within=within, settle_s=settle_s)
            files = [file for file in listed.files if file.path == below]
            if files:
                return _reload(warehouse, landing, table, files, channels)
    raise FileNotThereError(
        f"{below}: {landing.description} has no such file that is read: give a path below it, as "
        "`path` in masques_ops.intake_files, or deliver the file again"
    )


def _reload(  # noqa: PLR0913 - what is loaded, where, and as whose
    warehouse: Warehouse,
    landing: Landing,
    table: IntakeTable,
    files: list[LandingFile],
    channels: Channels,
    *,
    is_whole_table: bool = False,
) -> IntakeResult:
    done = IntakeResult(table)
    held = BY_ASSET[table.name]
    with writer_lease(warehouse, LEASE) as lease:
        if is_whole_table:
            detach_broken(warehouse, table)
            names = {"keys": f"{table.name}_keys", "key_times": table.key_times}
            warehouse.command(sql("intake/write_keys"), names)
        new = FileLog(warehouse, table.name).unread(files)
        unread = {file.path for file in new}
        before = [file for file in files if file.path not in unread]

        def load(group: list[LandingFile], restores: tuple[str, ...]) -> None:
            for start in range(0, len(group), RUN_FILES_MAX):
                part = load_files(
                    warehouse,
                    landing,
                    table,
                    group[start : start + RUN_FILES_MAX],
                    FileLog(warehouse, table.name),
                    lease=lease,
                    channels=channels,
                    restores=restores,
                )
                done.add(part)

        load(new, ())
        with counted(warehouse, held):  # what a killed run left is counted before it is compared
            pass
        days = set_aside(warehouse, table, held) if is_whole_table else damaged(warehouse, held)
        # Rows of new files may have been set aside too.
        again = files if is_whole_table and days else before
        load(FileLog(warehouse, table.name).in_order(again), days)
        if is_whole_table:
            done.restored = conclude(warehouse, table, held, days)
    return done
