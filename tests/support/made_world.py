"""Random payments for the sandbox's nodes, and the rails that read those nodes."""

import random
from collections.abc import Iterable, Mapping
from typing import Any

import httpx2

from masques_pipelines.rails.base.rail import BaseRail
from masques_pipelines.rails.base.window import BaseConfig
from masques_pipelines.rails.lightning.rail import LightningRail
from masques_pipelines.rails.node import JsonRpc, open_node
from masques_pipelines.rails.protocol import Asset, OpenSettlement, Rail
from masques_pipelines.rails.solana.rail import SolanaConfig, SolanaRail
from masques_pipelines.sandbox.nodes import base, solana
from masques_pipelines.sandbox.nodes.base import BaseNode
from masques_pipelines.sandbox.nodes.facts import Clock, Genesis, Kind, Payment
from masques_pipelines.sandbox.nodes.lightning import LndNode
from masques_pipelines.sandbox.nodes.solana import SolanaNode
from masques_pipelines.sandbox.parties import (
    BASE_BUYER,
    BASE_PARTNER,
    BASE_TREASURY,
    LND_PARTNER,
    LND_PUBKEY,
    SOLANA_BUYER,
    SOLANA_TREASURY,
)

RAILS = ("base", "solana", "lightning")
BEGIN_S = 1_780_000_000
FIRST_SLOT = 300_000_000
KINDS: Mapping[str, tuple[Kind, ...]] = {
    "base": ("plain", "paid", "paid", "failed", "canceled", "unpaid"),
    "solana": ("plain", "paid", "paid", "failed", "unpaid"),
    "lightning": ("paid", "paid", "failed", "unpaid", "held"),
}
PARTIES = {
    "base": (BASE_TREASURY, (BASE_BUYER, BASE_PARTNER)),
    "solana": (SOLANA_TREASURY, (SOLANA_BUYER, solana.facilitator(1))),
    "lightning": (LND_PUBKEY, (LND_PARTNER,)),
}
OPENING = 10**9


class Present:
    """A clock that a test moves."""

    def __init__(self, now_s: int) -> None:
        self.now_s = now_s

    def __call__(self) -> int:
        return self.now_s


def payments_of(rail: str, seed: int, *, count: int = 40, span_s: int = 3_600) -> list[Payment]:
    """Returns payments of all kinds, several of them in one second, from BEGIN_S on."""
    chance = random.Random(f"{rail} {seed}")
    us, others = PARTIES[rail]
    made = []
    for number in range(1, count + 1):
        other = chance.choice(others)
        is_out = chance.random() < 0.2
        kind = chance.choice(KINDS[rail])
        if is_out and rail != "lightning":
            kind = "plain"  # what we send, we send ourselves
        if is_out and kind == "unpaid":
            kind = "failed"
        made.append(
            Payment(
                number,
                BEGIN_S + 10 * chance.randrange(1, span_s // 10),
                chance.randrange(1, 10**6),
                us if is_out else other,
                other if is_out else us,
                kind,
                after_s=chance.randrange(300),
                parts=chance.randrange(1, 4),
            )
        )
    chance.shuffle(made)
    return made


def node_of(
    rail: str, payments: Iterable[Payment], clock: Clock, *, seed: int = 1, **more: Any
) -> httpx2.BaseTransport:
    """Returns the node of a rail."""
    genesis = Genesis(BEGIN_S, seed, {BASE_TREASURY: OPENING, SOLANA_TREASURY: OPENING})
    if rail == "base":
        return BaseNode(payments, clock, genesis, **more)
    if rail == "solana":
        wallets = (SOLANA_TREASURY,)
        return SolanaNode(payments, clock, genesis, treasury=wallets, first_slot=FIRST_SLOT)
    return LndNode(payments, clock, genesis, pubkey=LND_PUBKEY)


def rail_of(rail: str, node: httpx2.BaseTransport, *, batches: bool = True) -> Rail:
    """Returns a rail that reads a node, with nothing announced."""
    opened = open_node(f"sandbox://{rail}", transport=node)
    if rail == "lightning":
        return LightningRail(opened, "mainnet", _nothing_open)
    rpc = JsonRpc(opened, takes_batches=batches)
    if rail == "base":
        token = Asset(base.BASE.token, "USDC", 6)
        config = BaseConfig("eip155:8453", frozenset({BASE_TREASURY}), (token,), start_block=0)
        return BaseRail(rpc, config, _nothing_open)
    network = f"solana:{solana.GENESIS_HASH[:32]}"
    mint = Asset(solana.MINT, "USDC", solana.DECIMALS)
    at = SolanaConfig(network, (SOLANA_TREASURY,), (mint,), start_slot=FIRST_SLOT)
    return SolanaRail(rpc, at, _nothing_open)


def _nothing_open(*, after: str = "", limit: int = 0) -> list[OpenSettlement]:
    del after, limit
    return []
