"""What the chain says against the settlements, on each rail: red by one unit, and only then."""

import time
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from solders.keypair import Keypair

from masques_pipelines.rails.evidence import CHAIN_SAYS, ChainBalance
from masques_pipelines.rails.ingest import ingest
from masques_pipelines.rails.lightning.rail import CAIP2, LightningRail
from masques_pipelines.rails.protocol import Asset
from masques_pipelines.rails.revisions import open_settlements
from masques_pipelines.rails.rewind import rewind
from masques_pipelines.rails.solana.rail import SolanaConfig, SolanaRail
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql
from tests.integration.rails.conftest import Polls
from tests.support.anvil import TREASURY, Anvil, place_of, word
from tests.support.anvil import USDC as BASE_USDC
from tests.support.fake_lnd import FakeLnd
from tests.support.positions import open_books, position_of
from tests.support.rpc_fronts import Spoiled
from tests.support.solana_rpc import FIRST_SLOT, NETWORK, USDC, Solana
from tests.support.spoiled_nodes import Spoil, lnd_node, solana_rpc, truth

BUYER = Keypair.from_seed(bytes([7] * 32))
OURS, ALSO = (Keypair.from_seed(bytes([each] * 32)) for each in (11, 12))


def said(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return warehouse.rows(
        "SELECT rail, currency, state, difference, problem FROM masques_marts.chain_balances"
    )


def says(warehouse: Warehouse) -> ChainBalance:
    (found,) = (ChainBalance(**each) for each in warehouse.records(sql(CHAIN_SAYS)))
    return found


def poll_solana(
    warehouse: Warehouse,
    chain: Solana,
    spoil: Spoil = truth,
    treasury: Sequence[Keypair] = (OURS,),
) -> None:
    config = SolanaConfig(
        NETWORK,
        tuple(str(each.pubkey()) for each in treasury),
        (Asset(USDC, "USDC", 6),),
        start_slot=FIRST_SLOT,
    )
    known = partial(open_settlements, warehouse, "solana", NETWORK)
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
    open_books(warehouse, "USD")
    assert position_of(warehouse, "USD")[:2] == ("proved", Decimal(0))
    hidden = chain.transfer(BUYER, str(OURS.pubkey()), 1)
    chain.advance()

    def hide(method: str, _asked: Any, answer: Any) -> Any:
        if method == "getSignaturesForAddress":
            return [each for each in answer if each["signature"] != hidden]
        return answer

    poll_solana(warehouse, chain, hide)
    assert said(warehouse) == [("solana", "USDC", "differs", Decimal("0.000001"), "")]
    state, moved, sides = position_of(warehouse, "USD")
    assert (state, moved) == ("differs", Decimal("0.000001"))
    assert sides.startswith(f"solana {NETWORK} {USDC} block ")
    assert sides.endswith(": differs 0.000001")
    poll_solana(warehouse, chain)  # the overlap finds it
    assert said(warehouse) == [("solana", "USDC", "agrees", Decimal(0), "")]


def test_lightning_agrees_through_payments_payouts_and_forwards_and_differs_by_one_unit(
    warehouse: Warehouse,
) -> None:
    lnd = FakeLnd(int(time.time()) - 86_400)

    def poll(spoil: Spoil = truth) -> Sequence[tuple[Any, ...]]:
        lnd.now_s += 60
        known = partial(open_settlements, warehouse, "lightning", CAIP2["mainnet"])
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
    open_books(warehouse, "BTC")
    assert position_of(warehouse, "BTC")[:2] == ("proved", Decimal(0))
    pay("hidden", 1_000)

    def hide(path: str, _asked: Any, answer: Any) -> Any:
        if path == "/v1/invoices":
            return {"invoices": [e for e in answer["invoices"] if e["value_msat"] != "1000"]}
        return answer

    assert poll(hide) == [("lightning", "BTC", "differs", Decimal("0.00000001"), "")]
    assert poll() == [("lightning", "BTC", "agrees", Decimal(0), "")]
    lnd.pay("hidden payout", 2_000, "SUCCEEDED", fee_msat="3")

    def no_page(path: str, _asked: Any, answer: Any) -> Any:
        return {**answer, "payments": []} if path == "/v1/payments" else answer

    assert poll(no_page) == [("lightning", "BTC", "differs", Decimal("-0.00000002003"), "")]
    assert poll() == [("lightning", "BTC", "agrees", Decimal(0), "")]
    lnd.extra_msat = -1
    assert poll() == [("lightning", "BTC", "differs", Decimal("-0.00000000001"), "")]
    assert position_of(warehouse, "BTC")[:2] == ("differs", Decimal("-0.00000000001"))


def test_solana_a_missing_page_and_one_unit_moved_behind_our_back_are_seen(
    warehouse: Warehouse,
) -> None:
    chain = started_solana()
    poll_solana(warehouse, chain)
    for units in (5, 6):
        chain.transfer(BUYER, str(OURS.pubkey()), units)
    chain.advance()

    def no_page(method: str, _asked: Any, answer: Any) -> Any:
        return [] if method == "getSignaturesForAddress" else answer

    poll_solana(warehouse, chain, no_page)
    assert said(warehouse) == [("solana", "USDC", "differs", Decimal("0.000011"), "")]
    poll_solana(warehouse, chain)
    assert said(warehouse) == [("solana", "USDC", "agrees", Decimal(0), "")]
    chain.fund(str(OURS.pubkey()), 1_000 + 11 - 1)  # no transaction says so
    chain.advance()
    poll_solana(warehouse, chain)
    assert said(warehouse) == [("solana", "USDC", "differs", Decimal("-0.000001"), "")]


def started_solana() -> Solana:
    chain = Solana()
    for wallet in (BUYER, OURS, ALSO):
        chain.airdrop(str(wallet.pubkey()))
    chain.fund(str(BUYER.pubkey()), 50_000_000)
    chain.fund(str(OURS.pubkey()), 1_000)
    chain.fund(str(ALSO.pubkey()), 70)
    chain.advance()
    return chain


def test_solana_a_wallet_that_comes_or_goes_does_not_open_the_balance_again(
    warehouse: Warehouse,
) -> None:
    chain, ours, also = started_solana(), str(OURS.pubkey()), str(ALSO.pubkey())
    both = (OURS, ALSO)

    def move() -> None:
        chain.transfer(OURS, also, 10)
        chain.transfer(ALSO, ours, 3)
        chain.transfer(BUYER, also, 40)
        chain.transfer(BUYER, ours, 500)

    def step(treasury: Sequence[Keypair]) -> ChainBalance:
        chain.advance()
        move()
        chain.advance()
        move()  # not final when it is read first
        poll_solana(warehouse, chain, treasury=treasury)
        found = says(warehouse)
        assert (found.state, found.difference) in (
            ("agrees", Decimal(0)),
            ("opening", Decimal(0)),
        ), found.text
        return found

    opened = step((OURS,)).opening_block
    step((OURS,))
    for treasury in (both, both, (OURS,), both, (ALSO,)):
        assert step(treasury).opening_block == opened
    found = says(warehouse)
    assert (len(found.added_addresses), len(found.dropped_addresses)) == (2, 2)
    chain.fund(also, 7)
    chain.advance()
    poll_solana(warehouse, chain, treasury=(ALSO,))
    assert says(warehouse).state == "differs"


def poll_base(polls: Polls) -> None:
    ingest(polls.warehouse, polls.rail())


@pytest.fixture
def base(polls: Polls, chain: Anvil) -> Polls:
    for each in (TREASURY, chain.accounts[1], chain.accounts[2]):
        chain.rpc("anvil_impersonateAccount", each)
        chain.mint(each, 1_000_000)
    chain.finalize()
    polls.config = replace(polls.config, start_block=None)
    poll_base(polls)
    return polls


def test_base_agrees_through_payments_payouts_fees_and_reorganisations(
    base: Polls, chain: Anvil
) -> None:
    other = chain.accounts[1]
    chain.transfer(other, TREASURY, 30)
    chain.transfer(TREASURY, other, 9)
    poll_base(base)
    chain.rpc("anvil_reorg", 2, [])  # both are gone
    chain.transfer(TREASURY, other, 20)
    chain.finalize()
    poll_base(base)
    assert said(base.warehouse) == [("base", "USDC", "agrees", Decimal(0), "")]
    assert says(base.warehouse).went_out == Decimal("0.00002")


def test_base_a_hidden_log_and_one_unit_moved_behind_our_back_are_seen_in_one_run(
    base: Polls, chain: Anvil
) -> None:
    secret = chain.transfer(chain.accounts[1], TREASURY, 1)
    chain.transfer(chain.accounts[1], TREASURY, 20)  # in another block
    chain.finalize()
    hidden = Spoiled()
    hidden.always = {
        "eth_getLogs": lambda logs: [each for each in logs if each["transactionHash"] != secret]
    }
    true_client, base.node.client = base.node.client, type(base.node.client)(transport=hidden)
    since = says(base.warehouse).opening_block
    poll_base(base)
    base.node.client.close()
    base.node.client = true_client
    assert said(base.warehouse) == [("base", "USDC", "differs", Decimal("0.000001"), "")]
    text = says(base.warehouse).text
    assert f"base eip155:8453 USDC ({BASE_USDC}): the chain has 0.000001" in text
    assert f"at block {says(base.warehouse).block}" in text
    assert f"since block {since}" in text

    rewound(base, since)
    poll_base(base)
    assert said(base.warehouse) == [("base", "USDC", "agrees", Decimal(0), "")]
    open_books(base.warehouse, "USD")
    assert position_of(base.warehouse, "USD")[:2] == ("proved", Decimal(0))
    chain.rpc("anvil_setStorageAt", BASE_USDC, place_of(chain, TREASURY), "0x" + word(1_000_020))
    chain.finalize()
    poll_base(base)
    assert said(base.warehouse) == [("base", "USDC", "differs", Decimal("-0.000001"), "")]
    state, moved, sides = position_of(base.warehouse, "USD")
    assert (state, moved) == ("differs", Decimal("-0.000001"))
    assert f"block {says(base.warehouse).block}: differs" in sides


def rewound(polls: Polls, block: int) -> None:
    settings = read_settings(
        {
            "MASQUES_HOME": str(polls.landing),
            "MASQUES_BASE_RPC_URL": "http://x",
            "MASQUES_BASE_TREASURY": TREASURY,
        }
    )
    rewind(polls.warehouse, settings, "base", block)


def test_base_an_address_that_comes_or_goes_does_not_open_the_balance_again(
    base: Polls, chain: Anvil
) -> None:
    other, also = chain.accounts[1:3]
    both = frozenset({TREASURY, also})

    def move() -> None:
        chain.transfer(TREASURY, also, 10)
        chain.transfer(also, TREASURY, 3)
        chain.transfer(other, also, 40)
        chain.transfer(other, TREASURY, 500)

    def step(treasury: frozenset[str]) -> ChainBalance:
        move()
        chain.finalize()
        move()  # not final when it is read first
        base.config = replace(base.config, treasury=treasury)
        poll_base(base)
        found = says(base.warehouse)
        assert (found.state, found.difference) == ("agrees", Decimal(0)), found.text
        return found

    only, alone = frozenset({TREASURY}), frozenset({also})
    opened = step(only).opening_block
    for treasury in (both, both, only, both, alone):
        assert step(treasury).opening_block == opened
    found = says(base.warehouse)
    assert (len(found.added_addresses), len(found.dropped_addresses)) == (2, 2)
    assert all(f"{each} " in found.text for each in (TREASURY, also))
    chain.rpc("anvil_setStorageAt", BASE_USDC, place_of(chain, also), "0x" + word(5))
    chain.finalize()
    poll_base(base)
    assert says(base.warehouse).state == "differs"
