"""Reading a rail again from an earlier position.

Here: the earlier cursor of each rail.
Not here: what reading again finds (revisions.py decides what is new).
A re-run of a run after it appends only what changed: ids are the payments' own.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from masques_pipelines.errors import PermanentError
from masques_pipelines.rails.ingest import read_cursor, write_cursor
from masques_pipelines.rails.lightning.rail import CAIP2
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse


class RewindError(PermanentError):
    """There is no cursor to move back, or it does not move back."""


def rewind(warehouse: Warehouse, settings: Settings, rail: str, position: int) -> int:
    """Moves a rail's cursor back.

    Args:
        warehouse: Where the cursor is.
        settings: Which network the rail is on.
        rail: base, solana or lightning.
        position: Block, slot or invoice index to read from.

    Returns:
        Where it stood.

    Raises:
        RewindError: The rail was never read, or stands before that position.
    """
    network = {
        "base": settings.base.network,
        "solana": settings.solana.network,
        "lightning": CAIP2[settings.lightning.network],
    }[rail]
    cursor = read_cursor(warehouse, rail, network)
    if cursor is None:
        raise RewindError(
            f"{rail}: it was never read on {network}: set its start instead, see .env.example"
        )
    was = int(cursor[{"base": "next", "solana": "floor", "lightning": "added"}[rail]])
    if position > was:
        raise RewindError(f"{rail}: it stands at {was} and would move on to {position}, not back")
    earlier = _earlier(rail, cursor, position)
    write_cursor(warehouse, (rail, network), earlier, position=position, now=datetime.now(UTC))
    return was


def _earlier(rail: str, cursor: Mapping[str, Any], position: int) -> dict[str, Any]:
    if rail == "solana":
        return {**cursor, "floor": position, "done": []}
    if rail == "lightning":
        return {**cursor, "added": position, "paid": 0}
    earlier = {**cursor, "next": position}
    earlier.pop("anchor", None)  # a block that may not be the right one is why people rewind
    if position < cursor["since"]["block"]:
        earlier.pop("since")  # the rail asks the node for the time of its new beginning
    return earlier
