"""What the chain says of Solana and Lightning against the settlements: red by one unit."""

import time
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from solders.keypair import Keypair

from masques_pipelines.rails.ingest import ingest
from masques_pipelines.rails.lightning.rail import LightningRail
from masques_pipelines.rails.protocol import Asset
from masques_pipelines.rails.revisions import open_settlements
from masques_pipelines.rails.solana.rail import SolanaConfig, SolanaRail
from masques_pipelines.warehouse.client import Warehouse
from tests.support.fake_lnd import FakeLnd
from tests.support.solana_rpc import FIRST_SLOT, NETWORK, USDC, Solana
from tests.support.spoiled_nodes import Spoil, lnd_node, solana_rpc, truth

BUYER = Keypair.from_seed(bytes([7] * 32))
OURS = Keypair.from_seed(bytes([11] * 32))


def said(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return warehouse.rows(
        "SELECT rail, currency, state, difference, problem FROM masques_marts.chain_balances"
    )


def poll_solana(warehouse: Warehouse, chain: Solana, spoil: Spoil = truth) -> None:
    config = SolanaConfig(
        NETWORK, (str(OURS.pubkey()),), (Asset(USDC, "USDC", 6),), start_slot=FIRST_SLOT
    )
    known = partial(open_settlements, warehouse, "solana")
    ingest(warehouse, SolanaRail(solana_rpc(chain, spoil), config, known))


def test_solana_agrees_through_payments_payouts_and_forks_and_differs_by_one_unit(
    warehouse: Warehouse,
) -> None:
    chain = Solana()
    for wallet in (BUYER, OURS):
        chain.airdrop(str(wallet.pubkey()))
    chain.fund(str(BUYER.pubkey()), 50_000_000)
    chain.fund(str(OURS.pubkey()), 1_000)
    chain.advance()
    poll_solana(warehouse, chain)
    assert said(warehouse) == [("solana", "USDC", "opening", Decimal(0), "")]
    chain.transfer(BUYER, str(OURS.pubkey()), 10_000)
    chain.transfer(OURS, str(BUYER.pubkey()), 250)
    chain.forget(chain.transfer(BUYER, str(OURS.pubkey()), 77))
    chain.advance()
    chain.transfer(BUYER, str(OURS.pubkey()), 3)  # not final: on neither side
    poll_solana(warehouse, chain)
    assert said(warehouse) == [("solana", "USDC", "agrees", Decimal(0), "")]
    hidden = chain.transfer(BUYER, str(OURS.pubkey()), 1)
    chain.advance()

    def hide(method: str, _asked: Any, answer: Any) -> Any:
        if method == "getSignaturesForAddress":
            return [each for each in answer if each["signature"] != hidden]
        return answer

    poll_solana(warehouse, chain, hide)
    assert said(warehouse) == [("solana", "USDC", "differs", Decimal("0.000001"), "")]
    poll_solana(warehouse, chain)  # the overlap finds it
    assert said(warehouse) == [("solana", "USDC", "agrees", Decimal(0), "")]


def test_lightning_agrees_through_payments_payouts_and_forwards_and_differs_by_one_unit(
    warehouse: Warehouse,
) -> None:
    lnd = FakeLnd(int(time.time()) - 86_400)

    def poll(spoil: Spoil = truth) -> Sequence[tuple[Any, ...]]:
        lnd.now_s += 60
        known = partial(open_settlements, warehouse, "lightning")
        ingest(warehouse, LightningRail(lnd_node(lnd, spoil), "mainnet", known))
        return said(warehouse)

    def pay(name: str, msat: int) -> None:
        lnd.add(name, msat)
        lnd.hold(name, msat)
        lnd.settle(name)

    pay("before", 5_000)
    lnd.pay("slow", 9_000, fee_msat="0")
    assert poll() == [("lightning", "BTC", "opening", Decimal(0), "")]
    pay("one", 21_000)
    lnd.pay("payout", 4_000, "SUCCEEDED", fee_msat="12")
    lnd.forwards.append(33)
    lnd.transactions.append({"amount": "-300", "total_fees": "12", "label": ""})
    resolved = [{"status": "SUCCEEDED", "resolve_time_ns": str(lnd.now_s * 10**9)}]
    lnd.payments[1].update(status="SUCCEEDED", fee_msat="1", htlcs=resolved)
    assert poll() == [("lightning", "BTC", "agrees", Decimal(0), "")]
    pay("hidden", 1_000)

    def hide(path: str, _asked: Any, answer: Any) -> Any:
        if path == "/v1/invoices":
            return {"invoices": [e for e in answer["invoices"] if e["value_msat"] != "1000"]}
        return answer

    assert poll(hide) == [("lightning", "BTC", "differs", Decimal("0.00000001"), "")]
    assert poll() == [("lightning", "BTC", "agrees", Decimal(0), "")]
    lnd.extra_msat = -1
    assert poll() == [("lightning", "BTC", "differs", Decimal("-0.00000000001"), "")]
