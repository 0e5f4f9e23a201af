"""Opening the warehouse for a command.

Here: what all commands that need the warehouse share.
Not here: opening for a Dagster run (defs/resources.py).
A re-run opens anew.
"""

import contextlib
from collections.abc import Iterator
from typing import Final

from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse

# A person at a terminal would rather know who holds the warehouse than wait for long.
COMMAND_LOCK_TIMEOUT_S: Final = 60.0


@contextlib.contextmanager
def opened_warehouse(settings: Settings, command: str) -> Iterator[Warehouse]:
    """Opens the warehouse in the name of a command."""
    with open_warehouse(
        settings,
        origin=Origin(job=f"masques {command}"),
        lock_timeout_s=COMMAND_LOCK_TIMEOUT_S,
    ) as warehouse:
        yield warehouse
