"""Opens the computed nodes of a world: they answer from its payments, up to its clock."""

from pathlib import Path
from typing import TYPE_CHECKING

from masques_pipelines.sandbox.parties import LND_PUBKEY, START, TREASURY
from masques_pipelines.sandbox.world.payments import Wallets, facts
from masques_pipelines.sandbox.world.population import Population
from masques_pipelines.sandbox.world.shape import RAILS, SECOND
from masques_pipelines.sandbox.world.store import read_payments, read_world

if TYPE_CHECKING:
    import httpx2

# The chains begin a while before the world.
_GENESIS_BEFORE_S = 3_600


def open_node(root: Path, rail: str) -> "httpx2.BaseTransport":
    """Returns the node of a rail; its time stands still while it is open.

    Args:
        root: The sandbox's folder.
        rail: Name of the rail.

    Raises:
        WorldError: The world is missing or damaged.
    """
    from masques_pipelines.sandbox.nodes.base import BaseNode  # noqa: PLC0415
    from masques_pipelines.sandbox.nodes.facts import Genesis  # noqa: PLC0415
    from masques_pipelines.sandbox.nodes.lightning import LndNode  # noqa: PLC0415
    from masques_pipelines.sandbox.nodes.solana import SolanaNode  # noqa: PLC0415

    world = read_world(root)
    payments = read_payments(root)
    chosen = payments[payments["rail"] == RAILS.index(rail)]
    moved = list(facts(Wallets(Population(world.shape)), chosen))
    now_s = world.now_ns // SECOND
    begins_s = world.shape.start_ns // SECOND - _GENESIS_BEFORE_S
    funds = dict.fromkeys(TREASURY["base"], 0)
    genesis = Genesis(begins_s, world.shape.seed, funds)

    def clock() -> int:
        return now_s

    if rail == "base":
        return BaseNode(moved, clock, genesis)
    if rail == "solana":
        wallets, first_slot = TREASURY["solana"], START["solana"]
        return SolanaNode(moved, clock, genesis, treasury=wallets, first_slot=first_slot)
    return LndNode(moved, clock, genesis, pubkey=LND_PUBKEY)
