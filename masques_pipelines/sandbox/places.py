"""Names what lies in a sandbox's folder."""

import contextlib
import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from masques_pipelines.errors import PermanentError

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
# Raised with each change of what a shape gives, as a test demands: what another version wrote would
# be continued, and its nodes computed, otherwise.
WORLD_VERSION: Final = 2


def is_world(root: Path) -> bool:
    """Returns whether a sandbox's folder holds a world."""
    return (root / WORLD / WORLD_NAME).is_file()


def check_version(root: Path) -> None:
    """Checks that a sandbox's world, if there is one, was made by this version.

    Raises:
        PermanentError: It was not.
    """
    try:
        kept = json.loads((root / WORLD / WORLD_NAME).read_bytes())
    except (OSError, ValueError):
        return  # there is none, or whoever reads it says that it is damaged
    if not isinstance(kept, dict) or kept.get("version") == WORLD_VERSION:
        return
    raise PermanentError(
        f"{root}: its world was made by another version of this project, and would be read "
        "otherwise than it was written: make a new one in its place with `masques sandbox new`"
    )


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Lets one process at a time make or move a world; two would take different times for now."""
    with (root / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
