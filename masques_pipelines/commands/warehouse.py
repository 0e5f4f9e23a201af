"""Opens the warehouse for a command."""

import contextlib
from collections.abc import Iterator
from typing import Final

from masques_pipelines.sandbox.stamp import check_stamp, stamp_warehouse
from masques_pipelines.sandbox.stand_ins import prepare
from masques_pipelines.schema.migrations import check_schema
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse

# A person at a terminal would rather be told who holds the warehouse than wait for long.
COMMAND_LOCK_TIMEOUT_S: Final = 60.0


@contextlib.contextmanager
def opened_warehouse(
    settings: Settings, command: str, *, writes: bool = False, needs_schema: bool = True
) -> Iterator[Warehouse]:
    """Opens the warehouse in the name of a command.

    Args:
        settings: As `command_settings` gives them.
        command: Its name, for the log of queries.
        writes: Whether it may add rows: then the warehouse is stamped before. One of the other
            kind is refused in any case: what it holds would be taken for something else.
        needs_schema: Whether the command cannot do without our tables and views, as they are now.

    Raises:
        MigrationError: It needs the schema, which is not there or older than sql/.
        StampError: It is the sandbox's and the settings are of production, or the reverse.
    """
    prepare(settings)
    with open_warehouse(
        settings,
        origin=Origin(job=f"masques {command}"),
        lock_timeout_s=COMMAND_LOCK_TIMEOUT_S,
    ) as warehouse:
        (stamp_warehouse if writes else check_stamp)(warehouse, settings)
        if needs_schema:
            check_schema(warehouse)
        yield warehouse
