"""Names what lies in a sandbox's folder."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

WORLD: Final = "world"
LEDGER: Final = "ledger"
LANDING: Final = "landing"
# What a Collector would send, one file a day.
SPANS: Final = "spans"
WAREHOUSE: Final = "warehouse"
# Held while a world is made or moved on; a folder that has it is a sandbox's.
LOCK: Final = ".lock"
# What a world is made of: without this file there is none.
WORLD_NAME: Final = "world.json"


def is_world(root: Path) -> bool:
    """Returns whether a sandbox's folder holds a world."""
    return (root / WORLD / WORLD_NAME).is_file()


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Lets one process at a time make or move a world; two would take different times for now."""
    with (root / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
