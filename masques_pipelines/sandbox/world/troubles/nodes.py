"""Troubles of the rails' nodes: one that stands still, and a chain that forks."""

from typing import Final

from masques_pipelines.sandbox.parties import PLACES
from masques_pipelines.sandbox.world.shape import BASE, SECOND, SETTLE, place_of
from masques_pipelines.sandbox.world.troubles.money import hit_of, line_of
from masques_pipelines.sandbox.world.troubles.observed import (
    HOUR,
    Hit,
    NodeChange,
    Observed,
    Trouble,
)

# How long a node stands still; and after the first block of a payment, when that block is gone and
# when another one has the payment.
_STOPS_NS: Final = 2 * HOUR
_GONE_S: Final = 360
_AGAIN_S: Final = 420


def rail_stops(seen: Observed, trouble: Trouble) -> Hit | None:
    """A node stands still for two hours: what happens meanwhile is read when it goes on."""
    place = tuple(PLACES)[trouble.number % len(PLACES)]
    until = trouble.at_ns + _STOPS_NS
    seen.nodes.append(NodeChange(place, trouble.at_ns, until))
    return Hit({"rails": [place]}, trouble.at_ns)


def reorg(seen: Observed, trouble: Trouble) -> Hit | None:
    """A payment is in a block, the block is gone after six minutes, and a later one has it."""
    found = line_of(seen, trouble, (BASE,), SETTLE, valid_s=_AGAIN_S + 1)
    if found is None:
        return None
    hit = hit_of(seen, *found)
    row = seen.moved[found[1] : found[1] + 1]
    first = int(row["t"][0])
    number = int(row["number"][0])
    place = place_of(BASE, is_on_polygon=bool(row["polygon"][0]))
    seen.nodes.append(NodeChange(place, first, first + _GONE_S * SECOND, number))
    # What was signed stays: until when it is valid.
    row["t"] += _AGAIN_S * SECOND
    row["valid_s"] -= _AGAIN_S
    hit.visible_ns += _AGAIN_S * SECOND
    return hit
