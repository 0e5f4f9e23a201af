"""Rails over computed nodes of any size, with announcements that stay open: to count calls."""

import hashlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx2

from masques_pipelines.rails.base.rail import BaseRail
from masques_pipelines.rails.base.window import BaseConfig
from masques_pipelines.rails.lightning.rail import CAIP2, LightningRail
from masques_pipelines.rails.node import HttpNode, JsonRpc
from masques_pipelines.rails.protocol import (
    ANSWER,
    DEADLINE,
    JOURNAL_AT,
    Asset,
    Observation,
    OpenSettlements,
    Rail,
)
from masques_pipelines.rails.settlement_ids import (
    base_authorization,
    lightning_payment,
    solana_transfer,
)
from masques_pipelines.rails.solana.addresses import associated_token_account, encode_base58
from masques_pipelines.rails.solana.rail import SolanaConfig, SolanaRail
from masques_pipelines.sandbox.nodes import base, lightning, solana
from masques_pipelines.sandbox.nodes.facts import Genesis, Payment
from masques_pipelines.sandbox.parties import (
    BASE_BUYER,
    BASE_TREASURY,
    LND_PUBKEY,
    SOLANA_BUYER,
    SOLANA_TREASURY,
)

START_S = 1_790_000_000
BASE_NETWORK = "eip155:8453"
SOLANA_NETWORK = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
LIGHTNING_NETWORK = CAIP2["mainnet"]
# An open payment has this deadline: nobody gives up on it in a test.
LATER_S = START_S + 10**9


@dataclass
class TimedNode(httpx2.BaseTransport):
    """Counts what a computed node takes, so that it is not taken for the rail's own.

    Attributes:
        inner: The node.
        cpu_s: CPU seconds of its answers.
    """

    inner: httpx2.BaseTransport
    cpu_s: float = 0.0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        before = time.process_time()
        try:
            return self.inner.handle_request(request)
        finally:
            self.cpu_s += time.process_time() - before


@dataclass
class RailWorld:
    """A rail over a computed node.

    Attributes:
        name: Name of the rail.
        network: CAIP-2 id.
        node: The node.
        make: Makes the rail.
        clock: The node's time; a caller moves it.
        takes_batches: Whether the node answers a list of calls.
    """

    name: str
    network: str
    node: TimedNode
    make: Callable[[HttpNode, OpenSettlements], Rail]
    clock: "MovedClock"
    nodes: list[HttpNode] = field(default_factory=list)

    def rail(self, open_settlements: OpenSettlements) -> Rail:
        """Returns the rail as a new process opens it."""
        client = httpx2.Client(transport=self.node)
        return self.make(HttpNode(client, "http://node.test", "node.test"), open_settlements)


@dataclass
class MovedClock:
    """A clock that stands still until somebody moves it."""

    now_s: int

    def __call__(self) -> int:
        return self.now_s


def base_world(
    payments: int, *, takes_batches: bool = True, of: base.Chain = base.BASE
) -> RailWorld:
    """Returns a chain with a payment in each fifth block, read from its first block."""
    facts = [
        Payment(n, START_S + 10 * n, 1_000 + n, BASE_BUYER, BASE_TREASURY, "plain")
        for n in range(payments)
    ]
    clock = MovedClock(START_S + 10 * payments + 2 * base.FINAL_AFTER_S)
    chain = base.BaseNode(facts, clock, _genesis(BASE_TREASURY), chain=of, range_max=2_000)
    config = BaseConfig(
        of.network,
        frozenset({BASE_TREASURY}),
        (Asset(of.token, "USDC", 6),),
        start_block=0,
    )
    return RailWorld(
        "base",
        of.network,
        TimedNode(chain),
        lambda node, known: BaseRail(JsonRpc(node, takes_batches=takes_batches), config, known),
        clock,
    )


def solana_world(payments: int) -> RailWorld:
    """Returns a cluster with a payment every two seconds, read from its first slot."""
    facts = [
        Payment(n, START_S + 2 * n, 1_000 + n, SOLANA_BUYER, SOLANA_TREASURY)
        for n in range(payments)
    ]
    clock = MovedClock(START_S + 2 * payments + 600)
    cluster = solana.SolanaNode(
        facts, clock, _genesis(SOLANA_TREASURY), treasury=(SOLANA_TREASURY,)
    )
    config = SolanaConfig(
        SOLANA_NETWORK, (SOLANA_TREASURY,), (Asset(solana.MINT, "USDC", 6),), start_slot=0
    )
    return RailWorld(
        "solana",
        SOLANA_NETWORK,
        TimedNode(cluster),
        lambda node, known: SolanaRail(JsonRpc(node), config, known),
        clock,
    )


def lightning_world(invoices: int, *, kind: Any = "unpaid", valid_s: int = 600) -> RailWorld:
    """Returns a node with an invoice every second."""
    facts = [
        Payment(n, START_S + n, 10_000 + n, "", LND_PUBKEY, kind, valid_s=valid_s)
        for n in range(invoices)
    ]
    clock = MovedClock(START_S + invoices + 10)
    node = lightning.LndNode(facts, clock, _genesis(LND_PUBKEY), pubkey=LND_PUBKEY)
    return RailWorld(
        "lightning",
        LIGHTNING_NETWORK,
        TimedNode(node),
        lambda http, known: LightningRail(http, "mainnet", known),
        clock,
    )


def open_payments(rail: str, count: int, *, deadline_s: int = LATER_S) -> list[Observation]:
    """Returns announcements of a rail; the facilitator said success, and no chain has them.

    On Lightning they are of the node's own invoices, in their order.
    """
    return [_OPEN[rail](number, deadline_s) for number in range(count)]


def _genesis(address: str) -> Genesis:
    return Genesis(START_S, opening={address: 10**12})


def _bytes(number: int) -> bytes:
    return hashlib.sha512(f"open {number}".encode()).digest()


def _open(number: int, deadline_s: int, settlement_id: uuid.UUID, **more: Any) -> Observation:
    values: dict[str, Any] = {
        "source": "intent",
        "direction": "in",
        "status": "pending",
        "amount": Decimal(1),
        "currency": "USDC",
        "timestamp_ns": (START_S + number % 1_000) * 10**9,
        "protocol": "x402",
    }
    attributes = {DEADLINE: str(deadline_s), ANSWER: "success", JOURNAL_AT: f"{number:010}"}
    return Observation(settlement_id=settlement_id, **{**values, **more}, attributes=attributes)


def _open_on_base(number: int, deadline_s: int) -> Observation:
    nonce = "0x" + _bytes(number)[:32].hex()
    return _open(
        number,
        deadline_s,
        base_authorization(BASE_NETWORK, base.BASE.token, BASE_BUYER, nonce),
        rail="base",
        network=BASE_NETWORK,
        asset=base.BASE.token,
        to_address=BASE_TREASURY,
        payer=BASE_BUYER,
        payment_ref=nonce,
        tx_hash="0x" + _bytes(number)[32:].hex(),
    )


def _open_on_solana(number: int, deadline_s: int) -> Observation:
    signature = encode_base58(_bytes(number))
    account = associated_token_account(SOLANA_TREASURY, solana.MINT)
    return _open(
        number,
        deadline_s,
        solana_transfer(SOLANA_NETWORK, signature, account),
        rail="solana",
        network=SOLANA_NETWORK,
        asset=solana.MINT,
        to_address=SOLANA_TREASURY,
        payment_ref=signature,
        tx_hash=signature,
        # Announced just before the newest slots: they may still come.
        timestamp_ns=LATER_S * 10**9,
    )


def _open_on_lightning(number: int, deadline_s: int) -> Observation:
    payment_hash = lightning.payment_hash(0, number)
    return _open(
        number,
        deadline_s,
        lightning_payment(payment_hash),
        rail="lightning",
        network=LIGHTNING_NETWORK,
        currency="BTC",
        protocol="l402",
        payment_ref=payment_hash,
        tx_hash=payment_hash,
    )


_OPEN: dict[str, Callable[[int, int], Observation]] = {
    "base": _open_on_base,
    "solana": _open_on_solana,
    "lightning": _open_on_lightning,
}
