"""Three small worlds that answer as true nodes: payments of each kind, on Base, Solana, Lightning.

A world is read twice: as it is at first, and after it has grown. What it announces is what the
gate's journal would have: payments that come, that fail with a proof, that expire, that stay open.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from itertools import starmap
from typing import Any

import httpx2
from solders.keypair import Keypair

from masques_pipelines.rails.base.gateway_api import TransferApi
from masques_pipelines.rails.base.rail import BaseRail
from masques_pipelines.rails.base.window import BaseConfig
from masques_pipelines.rails.lightning.rail import CAIP2, LightningRail
from masques_pipelines.rails.node import HttpNode, JsonRpc
from masques_pipelines.rails.protocol import (
    ANSWER,
    CHARGED_TOTAL,
    DEADLINE,
    FACILITATOR_SAID,
    JOURNAL_AT,
    Asset,
    Channels,
    Observation,
    OpenSettlements,
    Rail,
)
from masques_pipelines.rails.redaction import redactor_of
from masques_pipelines.rails.settlement_ids import (
    base_authorization,
    lightning_payment,
    solana_transfer,
    voucher,
)
from masques_pipelines.rails.solana.rail import SolanaConfig, SolanaRail
from tests.campaigns.gateway_world import GatewayWorld
from tests.campaigns.mutations import BEARER, URL_KEY
from tests.support.anvil import TREASURY as BASE_TREASURY
from tests.support.anvil import USDC as BASE_USDC
from tests.support.fake_lnd import FakeLnd, payment_hash
from tests.support.plain_evm import (
    PlainEvm,
    asks_back,
    cancels,
    claims,
    deposits,
    digest,
    moves,
    sweeps,
    takes_back,
    uses,
)
from tests.support.solana_rpc import FIRST_SLOT, NETWORK, USDC, Solana, token_account
from tests.support.voucher_lines import CHANNEL_A, DELAY_S, line

URL = f"http://node.test/v2/{URL_KEY}"
HEADERS = {"Authorization": f"Bearer {BEARER}"}
FAR_S = 4_000_000_000
BUYER, OTHER, ALSO_OURS = ("0x" + each * 20 for each in ("b1", "07", "aa"))
SOL_BUYER, SOL_OURS, SOL_OTHER = (Keypair.from_seed(bytes([each] * 32)) for each in (7, 11, 17))
SOL_WALLET = str(SOL_OURS.pubkey())
LND_NOW_S = 1_795_000_000

Answer = Callable[[str, Any], Any]


@dataclass
class World:
    """A node and what is known before it is read.

    Attributes:
        name: The rail.
        answer: Returns what the node answers: to a method and its parameters, or to a path and its
            query the status and the body.
        is_rest: Whether it is asked by path.
        date: Returns the `Date` of its answers, '' for none.
        announced: Intents of the journal.
        open: Opens the rail over a client.
        grow: Makes what happens between the two times.
    """

    name: str
    answer: Answer
    is_rest: bool
    date: Callable[[], str]
    announced: Sequence[Observation]
    open: Callable[[httpx2.Client, OpenSettlements, Channels], Rail]
    grow: Callable[[], None]


def world_of(rail: str) -> World:
    """Returns a world of its own for a rail."""
    return RAILS[rail]()


def _node(client: httpx2.Client) -> HttpNode:
    redact = redactor_of(URL, HEADERS)
    return HttpNode(client, URL, "http://node.test", sleep=lambda _s: None, redact=redact)


def _intent(
    settlement_id: uuid.UUID, at_s: int, deadline_s: int, answer: str, **fields: Any
) -> Observation:
    said = {"success": "success", "failed": "failure: invalid_exact_evm_signature"}
    attributes = {
        ANSWER: answer, DEADLINE: str(deadline_s), JOURNAL_AT: f"{at_s}#1",
        FACILITATOR_SAID: said.get(answer, ""),
    }  # fmt: skip
    return Observation(
        settlement_id=settlement_id, source="intent", direction="in", status="pending",
        timestamp_ns=at_s * 10**9, attributes=attributes, **fields,
    )  # fmt: skip


def _base(chain_id: int = 8453) -> World:
    network, chain = f"eip155:{chain_id}", PlainEvm(head=30, final=20, chain_id=chain_id)
    announced = []
    gateway = GatewayWorld(chain, network, BUYER)

    def authorization(name: str, units: int, **more: Any) -> str:
        nonce = digest(name)
        fields = {
            "at_s": chain.time_s(2), "deadline_s": chain.time_s(40), "answer": "success", **more,
        }  # fmt: skip
        announced.append(
            _intent(
                base_authorization(network, BASE_USDC, BUYER, nonce), rail="base", network=network,
                amount=Decimal(units).scaleb(-6), currency="USDC", asset=BASE_USDC, payer=BUYER,
                to_address=BASE_TREASURY, payment_ref=nonce, protocol="x402", **fields,
            )
        )  # fmt: skip
        return nonce

    def pays(nonce: str, units: int, to: str = BASE_TREASURY) -> list[dict[str, Any]]:
        return [uses(BUYER, nonce), moves(BUYER, to, units)]

    def grow() -> None:
        chain.head, chain.final = 60, 45
        chain.land(32, moves(OTHER, BASE_TREASURY, 40), moves(BUYER, ALSO_OURS, 2))
        chain.land(35, moves(ALSO_OURS, OTHER, 20))
        chain.land(36, *pays(pending, 300), *pays(pending_2, 301))
        chain.land(38, cancels(BUYER, canceled))
        chain.land(39, *pays(elsewhere, 500, OTHER))
        chain.land(50, moves(OTHER, BASE_TREASURY, 9))
        chain.land(33, claims(channel, 150, 350))
        chain.land(34, asks_back(channel, 600, chain.time_s(34) + DELAY_S))
        chain.land(41, *sweeps(BASE_TREASURY, 150), takes_back(channel, 600))
        chain.land(52, deposits(CHANNEL_A, 500, 500))
        gateway.settles(37, "batched 2", "batched 3")
        gateway.settles(50, "batched late")
        gateway.transfers["batched never"]["status"] = "batched"

    names = ("batched", "batched 2", "batched 3", "batched late", "batched never")
    announced += gateway.accepted(*names, without_id="batched 3")
    gateway.settles(7, "batched")
    # One channel with a claim before and one after, and what is lost; one that is not there yet.
    channel = digest("channel")
    chain.land(6, deposits(channel, 1_000, 1_000))
    lines = [line(total, 100, channel, 7) for total in (100, 200, 350, 500)]
    for each in [*lines, line(50, 50, CHANNEL_A, 8)]:
        key = voucher(network, each.payment_ref, int(each.attributes[CHARGED_TOTAL]))
        announced.append(replace(each, network=network, settlement_id=key))
    chain.land(10, claims(channel, 200, 200))
    chain.land(14, *sweeps(BASE_TREASURY, 200))
    pending, pending_2, first = starmap(
        authorization, (("pending", 300), ("pending 2", 301), ("first", 1_000))
    )
    tx = chain.land(5, *pays(first, 1_000))
    announced[-1] = Observation(**{**vars(announced[-1]), "tx_hash": tx})
    canceled, elsewhere = authorization("canceled", 70), authorization("elsewhere", 500)
    reverted = authorization("reverted", 80)
    call = "0xe3ee160e" + BUYER[2:].zfill(64) + reverted[2:]
    tx = chain.land(8, status=0, call=call)
    announced[-1] = Observation(**{**vars(announced[-1]), "tx_hash": tx})
    for name, units, said in (("expired", 90, "verified"), ("expired and sent", 91, "pending")):
        authorization(name, units, answer=said)
    authorization("open", 95, deadline_s=FAR_S)
    chain.land(9, moves(OTHER, BASE_TREASURY, 5_000), moves(BASE_TREASURY, ALSO_OURS, 1_500))
    chain.land(11, moves(BASE_TREASURY, OTHER, 700))
    chain.land(12, moves(OTHER, BASE_TREASURY, 10**9, "0x" + "4d" * 20))
    chain.land(13, moves(OTHER, BASE_TREASURY, 0))
    chain.land(25, moves(OTHER, BASE_TREASURY, 77))
    config = BaseConfig(
        network, frozenset({BASE_TREASURY, ALSO_OURS}), (Asset(BASE_USDC, "USDC", 6),),
        start_block=1, reads_gateway=True,
    )  # fmt: skip
    return World(
        "base", gateway.answer, False, lambda: "", announced,
        lambda client, open_now, channels: BaseRail(
            JsonRpc(_node(client)), config, open_now, channels=channels,
            gateway=TransferApi(_node(client)),
        ),
        grow,
    )  # fmt: skip


def _solana() -> World:
    chain = Solana(start_s=1_795_000_000)
    buyer, also = str(SOL_BUYER.pubkey()), str(Keypair.from_seed(bytes([13] * 32)).pubkey())
    for each in (buyer, SOL_WALLET):
        chain.airdrop(each)
    chain.airdrop(str(SOL_OTHER.pubkey()))
    for each, units in ((buyer, 50_000_000), (SOL_WALLET, 0), (also, 0)):
        chain.fund(each, units)
    chain.fund(str(SOL_OTHER.pubkey()), 1_000)

    def announce(tx: str, units: int, to: str = SOL_WALLET, **more: Any) -> None:
        fields = {"at_s": chain.start_s, "deadline_s": chain.start_s + 100, "answer": "success"}
        announced.append(
            _intent(
                solana_transfer(NETWORK, tx, token_account(to)), rail="solana", network=NETWORK,
                amount=Decimal(units).scaleb(-6), currency="USDC", asset=USDC, tx_hash=tx,
                payment_ref=tx, payer=buyer, to_address=to, protocol="x402", **{**fields, **more},
            )
        )  # fmt: skip

    def grow() -> None:
        chain.transfer_together(SOL_WALLET, {SOL_BUYER: 31, SOL_OTHER: 32})
        chain.transfer(SOL_BUYER, SOL_WALLET, 40)
        chain.transfer(SOL_OURS, buyer, 15)
        chain.transfer(SOL_OURS, also, 5)  # to another wallet of ours
        chain.transfer(SOL_BUYER, also, 60, 61)
        chain.transfer(SOL_BUYER, SOL_WALLET, 10**12)  # fails
        chain.advance(200)
        chain.transfer(SOL_BUYER, SOL_WALLET, 9)

    announced: list[Observation] = []
    announce(chain.transfer(SOL_BUYER, SOL_WALLET, 1_000), 1_000)
    chain.transfer(SOL_BUYER, SOL_WALLET, 2, 3)
    chain.transfer(SOL_OURS, buyer, 100)
    announce(chain.transfer(SOL_BUYER, SOL_WALLET, 10**12), 10**6)  # fails
    announce(chain.transfer(SOL_BUYER, buyer, 5), 5)  # pays nothing to us
    announce("5" * 88, 7)  # nobody knows it
    announce("4" * 88, 8, deadline_s=FAR_S)
    chain.advance()
    chain.transfer(SOL_BUYER, SOL_WALLET, 20)
    config = SolanaConfig(
        NETWORK, (SOL_WALLET, also), (Asset(USDC, "USDC", 6),), start_slot=FIRST_SLOT
    )
    return World(
        "solana", chain.answer, False, lambda: "", announced,
        lambda client, open_now, _channels: SolanaRail(JsonRpc(_node(client)), config, open_now),
        grow,
    )  # fmt: skip


def _lightning() -> World:
    lnd = FakeLnd(LND_NOW_S)
    announced: list[Observation] = []

    def announce(name: str, msat: int, deadline_s: int = LND_NOW_S + 600) -> None:
        reference = payment_hash(name)
        announced.append(
            _intent(
                lightning_payment(reference), LND_NOW_S, deadline_s, "verified", rail="lightning",
                network=CAIP2["mainnet"], amount=Decimal(msat).scaleb(-11), currency="BTC",
                payment_ref=reference, tx_hash=reference, protocol="l402",
            )
        )  # fmt: skip

    def pay(name: str, *msat: int) -> None:
        lnd.add(name, sum(msat))
        lnd.hold(name, *msat)
        lnd.settle(name)

    def grow() -> None:
        lnd.now_s += 3_600
        lnd.settle("held")
        pay("later", 5_000)
        pay("in parts", 1_000, 2_000)
        lnd.pay("payout", 4_000, "SUCCEEDED", fee_msat="12")
        resolved = [{"status": "SUCCEEDED", "resolve_time_ns": str(lnd.now_s * 10**9)}]
        lnd.payments[2].update(status="SUCCEEDED", fee_msat="1", htlcs=resolved)
        lnd.cancel("expires")
        lnd.cancel("was held")
        lnd.pay_set("amp", "ab" * 32, 900)
        lnd.forwards.append(33)
        lnd.transactions.append({"amount": "-300", "total_fees": "12", "label": ""})
        lnd.now_s += 3_600

    pay("first", 21_000)
    announce("first", 21_000)
    lnd.add("open", 7_000, expiry_s=10**7)
    announce("open", 7_000, FAR_S)
    for name, msat in (("held", 3_000), ("was held", 4_000)):
        lnd.add(name, msat)
        lnd.hold(name, msat)
        announce(name, msat)
    lnd.add("expires", 8_000)
    announce("expires", 8_000)
    announce("of nobody", 9_000)
    lnd.add("amp", 0, is_amp=True)
    lnd.pay("out", 6_000, "SUCCEEDED", fee_msat="7")
    lnd.pay("slow", 2_000, fee_msat="0")
    lnd.pay("no route", 2_500, "FAILED", failure_reason="FAILURE_REASON_NO_ROUTE")
    lnd.forwards.append(11)
    lnd.now_s += 300
    return World(
        "lightning", lnd.answer_any, True, lambda: lnd.date, announced,
        lambda client, open_now, _channels: LightningRail(_node(client), "mainnet", open_now),
        grow,
    )  # fmt: skip


RAILS: Mapping[str, Callable[[], World]] = {
    "base": _base,
    "polygon": partial(_base, 137),
    "solana": _solana,
    "lightning": _lightning,
}
