"""Names what lies in a sandbox's folder."""

from pathlib import Path
from typing import Final

WORLD: Final = "world"
LEDGER: Final = "ledger"
LANDING: Final = "landing"
WAREHOUSE: Final = "warehouse"
# Held while a world is made; a folder that has it is a sandbox's.
LOCK: Final = ".lock"
# What a world is made of: without this file there is none.
WORLD_NAME: Final = "world.json"


def is_world(root: Path) -> bool:
    """Returns whether a sandbox's folder holds a world."""
    return (root / WORLD / WORLD_NAME).is_file()
