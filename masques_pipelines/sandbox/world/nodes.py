"""Opens the computed nodes of a world: they answer from its payments, up to its clock."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from masques_pipelines.sandbox.parties import LND_PUBKEY, PLACES, START, TREASURY
from masques_pipelines.sandbox.world.payments import Wallets, facts
from masques_pipelines.sandbox.world.population import Population
from masques_pipelines.sandbox.world.shape import RAILS, SECOND
from masques_pipelines.sandbox.world.store import (
    read_node_changes,
    read_payments,
    read_world,
)

if TYPE_CHECKING:
    import httpx2

# The chains begin a while before the world.
_GENESIS_BEFORE_S = 3_600
# What a treasury on an EVM network begins with: on one of the two more is paid out than comes in,
# and a node has no balance below zero to show.
FLOAT_UNITS = 10**11


def open_node(root: Path, place: str) -> "httpx2.BaseTransport":
    """Returns the node of a network; its time stands still while it is open.

    Args:
        root: The sandbox's folder.
        place: Name of the network, as the settings of the sandbox have it.

    Raises:
        WorldError: The world is missing or damaged.
    """
    from masques_pipelines.sandbox.nodes.base import BASE, POLYGON, BaseNode  # noqa: PLC0415
    from masques_pipelines.sandbox.nodes.facts import Genesis  # noqa: PLC0415
    from masques_pipelines.sandbox.nodes.lightning import LndNode  # noqa: PLC0415
    from masques_pipelines.sandbox.nodes.solana import SolanaNode  # noqa: PLC0415

    world = read_world(root)
    payments = read_payments(root)
    rail = PLACES[place]
    is_there = payments["rail"] == RAILS.index(rail)
    if rail == "base":
        is_there &= payments["polygon"] == (place != "base")
    chosen = payments[is_there]
    now_ns, forks_s = world.now_ns, []
    for change in read_node_changes(root):
        if change.rail != place or not change.from_ns <= world.now_ns < change.until_ns:
            continue
        if change.number < 0:
            now_ns = min(now_ns, change.from_ns)
        else:
            (row,) = np.flatnonzero(chosen["number"] == change.number)
            # Valid until the same time.
            chosen["valid_s"][row] += (chosen["t"][row] - change.from_ns) // SECOND
            chosen["t"][row] = change.from_ns
            forks_s.append(change.from_ns // SECOND)
    moved = list(facts(Wallets(Population(world.shape)), chosen))
    now_s = now_ns // SECOND
    begins_s = world.shape.start_ns // SECOND - _GENESIS_BEFORE_S
    funds = dict.fromkeys(TREASURY["base"], FLOAT_UNITS)
    genesis = Genesis(begins_s, world.shape.seed, funds, tuple(forks_s))

    def clock() -> int:
        return now_s

    if rail == "base":
        chain = BASE if place == "base" else POLYGON
        return BaseNode(moved, clock, genesis, chain=chain, has_escrow=True)
    if rail == "solana":
        wallets, first_slot = TREASURY["solana"], START["solana"]
        return SolanaNode(moved, clock, genesis, treasury=wallets, first_slot=first_slot)
    return LndNode(moved, clock, genesis, pubkey=LND_PUBKEY)
