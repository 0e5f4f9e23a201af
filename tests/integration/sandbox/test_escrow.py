"""The computed escrow logs, moves and answers, step by step, as the contract on a real chain."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from masques_pipelines.rails.base.escrow import (
    ESCROW,
    EVENTS,
    SETTLED,
    WITHDRAW_INITIATED,
    claimed_call,
    state_call,
    withdrawal_call,
)
from masques_pipelines.rails.base.transfers import BALANCE_OF, TRANSFER, address_topic
from masques_pipelines.sandbox.nodes.base import BASE, BaseNode, transaction_hash
from masques_pipelines.sandbox.nodes.escrow import DELAY_S, channel_id
from masques_pipelines.sandbox.nodes.facts import Genesis, Kind, Payment
from tests.support.anvil import TREASURY, USDC, Anvil, running_anvil
from tests.support.x402_channels import DELAY_S as REAL_DELAY_S
from tests.support.x402_channels import ChannelShop
from tests.support.x402_evm import BUYER, Payments

BEGIN_S = 1_790_000_000
STEP_S = 2 * DELAY_S
# A log of the escrow: its topics but the channel, and its numbers.
Log = tuple[tuple[str, ...], tuple[int, ...]]


@dataclass
class Seen:
    """What one chain shows of a step.

    Attributes:
        logs: Of the escrow.
        into: Tokens that went into the escrow, less those that left it.
        channel: Balance, and what was claimed.
        asked: What was asked back, and whether at all.
        owed: What was claimed for the receiver, and what of it was swept.
        held: Tokens of the receiver.
    """

    logs: list[Log]
    into: int
    channel: tuple[int, int]
    asked: tuple[int, bool]
    owed: tuple[int, int]
    held: int


def look(rpc: Callable[..., Any], tx: str, channel: str, delay_s: int, submitter: str = "") -> Seen:
    receipt = rpc("eth_getTransactionReceipt", tx)
    submitter = address_topic(submitter or receipt["from"])
    time_s = int(rpc("eth_getBlockByNumber", receipt["blockNumber"], False)["timestamp"], 16)
    logs: list[Log] = []
    into = 0
    for log in receipt["logs"]:
        topics, data = [each.lower() for each in log["topics"]], log["data"][2:]
        numbers = [int(data[at : at + 64], 16) for at in range(0, len(data), 64)]
        if topics[0] == TRANSFER and log["address"] == USDC:
            into += numbers[0] * (topics[2] == address_topic(ESCROW))
            into -= numbers[0] * (topics[1] == address_topic(ESCROW))
        elif log["address"] == ESCROW and topics[0] in (*EVENTS, SETTLED):
            if topics[0] == WITHDRAW_INITIATED:
                numbers[1] -= time_s + delay_s
            known = {channel: "channel", submitter: "submitter"}
            named = tuple(known.get(each, each) for each in topics)
            logs.append((named, tuple(numbers)))

    def pair(call: tuple[str, Sequence[Any]]) -> tuple[int, int]:
        text = rpc(call[0], *call[1])[2:]
        return int(text[:64], 16), int(text[64:], 16)

    units, asked_s = pair(withdrawal_call(channel, "latest"))
    data = BALANCE_OF + address_topic(TREASURY)[2:]
    return Seen(
        logs,
        into,
        pair(state_call(channel, "latest")),
        (units, asked_s > 0),
        pair(claimed_call(TREASURY, USDC, "latest")),
        int(rpc("eth_call", {"to": USDC, "data": data}, "latest"), 16),
    )


@dataclass
class Computed:
    """The computed chain, one step after the other."""

    steps: list[Payment] = field(default_factory=list)

    def take(self, kind: Kind, channel: int, *, total: int = 0, deposit: int = 0) -> Seen:
        number = len(self.steps) + 1
        at_s = BEGIN_S + number * STEP_S
        name = channel_id(7, channel) if kind != "sweep" else ""
        self.steps.append(
            Payment(
                number, at_s, 1, BUYER, TREASURY, kind, channel=name, total=total, deposit=deposit
            )
        )
        genesis = Genesis(BEGIN_S, 7, {TREASURY: 0})
        node = BaseNode(self.steps, lambda: at_s, genesis, chain=BASE, has_escrow=True)
        with httpx2.Client(transport=node, base_url="http://node") as client:

            def rpc(method: str, *params: Any) -> Any:
                body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
                return client.post("/", json=body).json()["result"]

            return look(rpc, transaction_hash(7, number), channel_id(7, channel), DELAY_S)


@pytest.fixture
def chain() -> Iterator[Anvil]:
    with running_anvil() as chain:
        chain.mint(BUYER, 50_000_000)
        yield chain


@pytest.fixture
def payments(chain: Anvil, tmp_path: Path) -> Iterator[Payments]:
    payments = Payments(chain, tmp_path / "gate.ndjson")
    yield payments
    payments.close()


def test_each_step_is_as_on_the_contract(chain: Anvil, payments: Payments) -> None:
    first, second = ChannelShop(payments), ChannelShop(payments, salt=1)
    computed = Computed()

    def real(tx: str, shop: ChannelShop) -> Seen:
        return look(chain.rpc, tx, shop.channel_id, REAL_DELAY_S)

    deposited = first.pay(1_000, 1)["response"]["transaction"]
    assert real(deposited, first) == computed.take("voucher", 1, total=1_000, deposit=10_000)
    first.pay(2_000, 2, charged=1_500)
    first.pay(700, 3)
    assert real(first.claim(), first) == computed.take("claim", 1, total=3_200)
    assert real(first.sweep(), first) == computed.take("sweep", 1)
    first.pay(900, 4)
    assert real(first.start_withdrawal(6_800), first) == computed.take("ask_back", 1)
    chain.pass_time(REAL_DELAY_S + 60)
    assert real(first.end_withdrawal(), first) == computed.take("take_back", 1)

    deposited = second.pay(1_000, 5)["response"]["transaction"]
    assert real(deposited, second) == computed.take("voucher", 2, total=1_000, deposit=10_000)
    second.pay(300, 6)
    assert real(second.start_withdrawal(10_000), second) == computed.take("ask_back", 2)
    assert real(second.refund(), second) == computed.take("close", 2, total=1_300)
    last = real(second.sweep(), second)
    assert last == computed.take("sweep", 2)
    assert (last.owed, last.held) == ((4_500, 4_500), 4_500)
