"""Moves a rail's cursor back, so that the rail is read again from an earlier position.

What is read again unchanged appends nothing: ids are the payments' own. Only parts of the table
whose files are damaged are taken out of it, so that their settlements are read and written again.
"""

from dataclasses import dataclass

from masques_pipelines.errors import PermanentError
from masques_pipelines.inventory.detached import detach_broken
from masques_pipelines.inventory.tables import SETTLEMENTS
from masques_pipelines.rails import catalog
from masques_pipelines.rails.ingest import Place, read_cursor, write_cursor
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse


class RewindError(PermanentError):
    """There is no cursor to move back, or it would not move back."""


@dataclass(frozen=True)
class Rewound:
    """What a rewind did.

    Attributes:
        before: The position before.
        detached: Parts of masques.settlements whose files are damaged, and that are not read now.
    """

    before: int
    detached: tuple[str, ...] = ()


def rewind(warehouse: Warehouse, settings: Settings, name: str, position: int) -> Rewound:
    """Moves the cursor of a network or node of a rail back.

    Args:
        warehouse: Holds the cursor.
        settings: Name the networks of the rails.
        name: What the settings call it; the rail's name where there is one network of it.
        position: Block, slot or invoice index to read from.

    Raises:
        RewindError: The rail was never read, is before that position, or keeps no position that it
            could be read again from.
        SettingError: The settings have no such name.
    """
    place = catalog.place(settings, name)
    rail, key = place.kind, place.key
    if rail.rewind is None:
        raise RewindError(f"{name}: its cursor cannot be moved back")
    cursor = read_cursor(warehouse, *key)
    if cursor is None:
        raise RewindError(
            f"{name}: it was never read on {key.network}: set its start instead, see .env.example"
        )
    before = rail.position(cursor)
    if position > before:
        raise RewindError(
            f"{name}: it is at {rail.unit} {before}, and {position} is ahead of that: give an "
            "earlier position"
        )
    earlier = rail.rewind(cursor, position)
    # What is read again is not read to its finality: until when is not known before it is.
    write_cursor(warehouse, key, Place(earlier, position, read_to_ns=None))
    return Rewound(before, detach_broken(warehouse, SETTLEMENTS.name))
