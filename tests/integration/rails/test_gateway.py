"""Payments by Circle Gateway: each is one row, confirmed by its batch, or said to be unknown.

Gateway's API and its contracts are made up here, after Circle's published API and source; the chain
is one in memory.
"""

import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from masques_pipelines.rails.attribution import link_settlements
from masques_pipelines.rails.base.gateway_api import TransferApi
from masques_pipelines.rails.base.rail import BaseRail, _rewind
from masques_pipelines.rails.base.window import BaseConfig
from masques_pipelines.rails.channels import RecordedChannels
from masques_pipelines.rails.descriptor import RailKey
from masques_pipelines.rails.ingest import Place, RailRun, ingest, read_place, write_cursor
from masques_pipelines.rails.journal.rail import JournalRail
from masques_pipelines.rails.node import HttpNode
from masques_pipelines.rails.revisions import open_settlements, recorded_settlements
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql
from tests.campaigns.journal_lines import accepted
from tests.integration.rails.conftest import ASSET, KNOWN, NETWORK, landing_at
from tests.support.anvil import TREASURY, USDC
from tests.support.plain_evm import (
    GATEWAY,
    DirectRpc,
    PlainEvm,
    digest,
    gateway_burn,
    gateway_deposit,
    gateway_mint,
    moves,
)

PAYER, OTHER = "0x" + "b1" * 20, "0x" + "07" * 20
VALID_S = 7 * 24 * 3600
Row = tuple[str, str, int, int | None]


@dataclass
class Gateway:
    """The API of Circle Gateway: what it says of each transfer."""

    transfers: dict[str, dict[str, Any]] = field(default_factory=dict)
    is_down: bool = False
    asked: list[str] = field(default_factory=list)

    def say(self, name: str, **said: Any) -> None:
        self.transfers[name] |= said

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.url.path)
        if self.is_down:
            return httpx2.Response(503, text="down")
        if request.url.path == "/v1/x402/transfers":
            nonce = request.url.params["nonce"]
            found = [each for each in self.transfers.values() if each["nonce"] == nonce]
            return httpx2.Response(200, json={"transfers": found})
        wanted = request.url.path.rpartition("/")[2]
        one = next((each for each in self.transfers.values() if each["id"] == wanted), None)
        return httpx2.Response(200 if one else 404, json=one or {"message": "Transfer not found"})


@dataclass
class Shop:
    """A seller whose buyers pay by Circle Gateway: journal, chain, API and warehouse."""

    warehouse: Warehouse
    landing: Path
    chain: PlainEvm = field(default_factory=lambda: PlainEvm(head=30, final=20))
    gateway: Gateway = field(default_factory=Gateway)
    reads_gateway: bool = True

    def pay(self, name: str, units: int, transfer: int, *, names_id: bool = True) -> None:
        """Accepts a payment, and writes its line."""
        nonce, number = digest(name), str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
        at_s = self.chain.time_s(self.chain.head)
        signed = {
            "from": PAYER, "to": TREASURY, "value": str(units), "validAfter": "0",
            "validBefore": str(at_s + VALID_S), "nonce": nonce,
        }  # fmt: skip
        extra = {
            "name": "GatewayWalletBatched", "version": "1", "verifyingContract": GATEWAY.wallet,
        }  # fmt: skip
        asked = {**accepted("exact"), "amount": str(units), "extra": extra}
        payload = {"x402Version": 2, "payload": {"authorization": signed}, "accepted": asked}
        line = {
            "recorded_at": at_s,
            "event": "settle",
            "request": {"paymentPayload": payload, "paymentRequirements": asked},
            "response": {"success": True, "transaction": number if names_id else "accepted",
                         "network": NETWORK, "payer": PAYER},
            "transaction_id": str(uuid.UUID(int=transfer)),
        }  # fmt: skip
        journal = self.landing / "settlement_journal" / "gate.ndjson"
        journal.parent.mkdir(parents=True, exist_ok=True)
        with journal.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.gateway.transfers[name] = {
            "id": number, "status": "received", "token": "USDC", "sendingNetwork": NETWORK,
            "recipientNetwork": NETWORK, "fromAddress": PAYER, "toAddress": TREASURY,
            "amount": str(units), "nonce": nonce, "txHash": None,
            "createdAt": "2026-11-20T12:00:00Z", "updatedAt": "2026-11-20T12:00:00Z",
        }  # fmt: skip

    def settle(self, net: int, *names: str, status: str = "confirmed", **more: int) -> str:
        """Settles payments in a batch that changes our balance by so much, 5 blocks from here."""
        self.grow(5)
        tx = self.chain.settle(self.chain.head, {TREASURY: net, PAYER: -net, **more})
        for name in names:
            self.gateway.say(name, status=status, txHash=tx)
        return tx

    def grow(self, blocks: int = 20) -> None:
        self.chain.head += blocks
        self.chain.final = self.chain.head - 10

    def poll(self) -> RailRun:
        """One run as the asset does it."""
        self.landing.mkdir(parents=True, exist_ok=True)
        ingest(self.warehouse, JournalRail(landing_at(self.landing), KNOWN))
        config = BaseConfig(
            NETWORK, frozenset({TREASURY}), (ASSET,), start_block=1,
            reads_gateway=self.reads_gateway,
        )  # fmt: skip
        client = httpx2.Client(transport=httpx2.MockTransport(self.gateway.answer))
        node = HttpNode(client, "http://gateway.test", "http://gateway.test", sleep=lambda _s: None)
        rail = BaseRail(
            DirectRpc(self.chain),  # type: ignore[arg-type]
            config,
            lambda **asked: open_settlements(self.warehouse, "base", NETWORK, **asked),
            lambda first, last: recorded_settlements(self.warehouse, "base", NETWORK, first, last),
            RecordedChannels(self.warehouse, "base", NETWORK),
            TransferApi(node) if self.reads_gateway else None,
        )
        done = ingest(self.warehouse, rail)
        link_settlements(self.warehouse)
        node.close()
        return done

    def rows(self) -> list[Row]:
        found = self.warehouse.rows(
            "SELECT status, failure_reason, amount, transaction_id "
            "FROM masques_marts.settlements_current ORDER BY amount"
        )
        return [(s, r, int(a.scaleb(6)), t.int if t else None) for s, r, a, t in found]

    def says(self) -> list[tuple[str, int]]:
        return self.warehouse.rows(
            "SELECT state, toInt64(balance * 1000000) FROM masques_marts.chain_balances"
        )

    def findings(self) -> list[tuple[str]]:
        return self.warehouse.rows(
            "SELECT kind FROM masques_ops.settlement_findings FINAL ORDER BY kind"
        )

    def history(self) -> int:
        return int(self.warehouse.scalar("SELECT count() FROM masques.settlements"))

    def rewind(self, block: int) -> None:
        key = RailKey("base", NETWORK)
        place = read_place(self.warehouse, key)
        assert place is not None
        write_cursor(self.warehouse, key, Place(_rewind(place.cursor, block), block, None))


@pytest.fixture
def shop(warehouse: Warehouse, tmp_path: Path) -> Shop:
    shop = Shop(warehouse, tmp_path / "landing")
    shop.poll()
    return shop


def test_each_payment_is_one_row_from_its_acceptance_to_its_batch(shop: Shop) -> None:
    shop.pay("a", 100, 1)
    shop.pay("b", 250, 2)
    shop.pay("c", 70, 3, names_id=False)  # found by its nonce
    shop.poll()
    assert shop.rows() == [
        ("off_chain", "", 70, 3), ("off_chain", "", 100, 1), ("off_chain", "", 250, 2),
    ]  # fmt: skip
    first = shop.settle(350, "a", "b")
    shop.poll()  # the batch is not final yet
    assert {status for status, *_ in shop.rows()} == {"off_chain"}
    shop.grow()
    shop.poll()
    assert shop.rows() == [
        ("off_chain", "", 70, 3), ("confirmed", "", 100, 1), ("confirmed", "", 250, 2),
    ]  # fmt: skip
    assert shop.says() == [("agrees", 350)]
    second = shop.settle(70, "c", status="completed")
    shop.grow()
    shop.poll()
    assert shop.rows()[0] == ("confirmed", "", 70, 3)
    assert shop.says() == [("agrees", 420)]
    assert shop.findings() == []
    assert shop.warehouse.rows(
        "SELECT batch, payments, toInt64(amount * 1000000), toInt64(brought * 1000000), "
        "toInt64(unnamed * 1000000) FROM masques_marts.gateway_batches ORDER BY amount"
    ) == [(second, 1, 70, 70, 0), (first, 2, 350, 350, 0)]
    before = shop.history()
    shop.poll()
    assert shop.history() == before
    assert shop.warehouse.records(sql("rails/final_stays_final")) == []


def test_withdrawals_and_deposits_are_no_payments_and_the_chain_agrees_at_each_block(
    shop: Shop,
) -> None:
    shop.pay("a", 1_000, 1)
    shop.settle(1_000, "a")
    shop.grow()
    shop.poll()
    spec = digest("withdrawal")
    shop.chain.land(shop.chain.head, *gateway_mint(TREASURY, 600, spec))
    shop.grow()
    shop.poll()
    assert shop.says() == [("agrees", 1_000)]  # 600 are minted, and not burned yet
    shop.chain.land(shop.chain.head, gateway_burn(TREASURY, 600, 3, spec))
    shop.chain.in_gateway.append((shop.chain.head, TREASURY, -603))
    shop.grow()
    shop.poll()
    assert shop.says() == [("agrees", 997)]
    shop.chain.land(shop.chain.head, *gateway_deposit(TREASURY, 200))
    shop.chain.in_gateway.append((shop.chain.head, TREASURY, 200))
    shop.grow()
    shop.poll()
    assert shop.says() == [("agrees", 997)]
    # To another network: it leaves here, and is a payment there.
    elsewhere = digest("elsewhere")
    shop.chain.land(shop.chain.head, gateway_burn(TREASURY, 50, 2, elsewhere, domain=7))
    shop.chain.in_gateway.append((shop.chain.head, TREASURY, -52))
    shop.grow()
    shop.poll()
    assert shop.says() == [("agrees", 945)]
    assert shop.rows() == [
        ("confirmed", "", 2, None), ("confirmed", "", 3, None), ("confirmed", "", 50, None),
        ("confirmed", "", 1_000, 1),
    ]  # fmt: skip
    before = shop.history()
    shop.rewind(1)
    for _ in range(2):
        shop.poll()
    assert shop.history() == before
    assert (shop.says(), shop.findings()) == ([("agrees", 945)], [])


def test_what_the_journal_does_not_name_is_a_difference_and_stands_in_the_batch(shop: Shop) -> None:
    shop.pay("a", 100, 1)
    shop.settle(130, "a")
    shop.grow()
    shop.poll()
    assert shop.rows() == [("confirmed", "", 100, 1)]
    assert shop.says() == [("differs", 130)]
    assert shop.warehouse.rows(
        "SELECT toInt64(unnamed * 1000000) FROM masques_marts.gateway_batches"
    ) == [(30,)]
    # The line comes late.
    shop.pay("b", 30, 2)
    tx = shop.gateway.transfers["a"]["txHash"]
    shop.gateway.say("b", status="completed", txHash=tx)
    shop.poll()
    assert shop.rows() == [("confirmed", "", 30, 2), ("confirmed", "", 100, 1)]
    assert shop.says() == [("agrees", 130)]


WRONG: dict[str, tuple[dict[str, Any], str, list[tuple[str]]]] = {
    "another amount": ({"amount": "99"}, "not_settled_until_deadline", [("gateway_disagrees",)]),
    "another payer": (
        {"fromAddress": OTHER}, "not_settled_until_deadline", [("gateway_disagrees",)],
    ),
    "another receiver": (
        {"toAddress": OTHER}, "not_settled_until_deadline", [("gateway_disagrees",)],
    ),
    "another network": (
        {"recipientNetwork": "eip155:137"}, "not_settled_until_deadline", [("gateway_disagrees",)],
    ),
    "a batch that nobody has": ({"txHash": digest("nowhere")}, "batch_not_proved", []),
    "a status that is none": ({"status": "done"}, "not_settled_until_deadline", []),
    "failed": ({"status": "failed"}, "gateway_failed", []),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_gateway_says_alone_confirms_nothing(shop: Shop, case: str) -> None:
    said, reason, findings = WRONG[case]
    shop.pay("a", 100, 1)
    shop.settle(100, "a")
    shop.gateway.say("a", **said)
    shop.grow()
    shop.poll()
    is_failed = reason == "gateway_failed"
    assert [row[0] for row in shop.rows()] == ["unknown" if is_failed else "off_chain"]
    shop.grow(VALID_S)  # two seconds a block
    shop.poll()
    assert [row[:2] for row in shop.rows()] == [("unknown", reason)]
    assert shop.findings() == findings
    # The balance says that something came.
    assert shop.says() == [("differs", 100)]


@pytest.mark.parametrize(
    ("call", "to"),
    [("batch", OTHER), ("transfer", USDC), ("smaller", GATEWAY.wallet)],
)
def test_a_transaction_that_is_no_batch_of_ours_confirms_nothing(
    shop: Shop, call: str, to: str
) -> None:
    shop.pay("a", 100, 1)
    tx = shop.settle(100 if call == "batch" else 60, "a")
    shop.chain.targets[tx] = to
    if call == "transfer":
        shop.chain.inputs[tx] = "0x"
    shop.grow()
    shop.poll()
    assert [row[0] for row in shop.rows()] == ["off_chain"]
    assert shop.findings() == ([("batch_disagrees",)] if call == "smaller" else [])


def test_a_batch_whose_call_cannot_be_read_confirms_with_the_balance(shop: Shop) -> None:
    shop.pay("a", 100, 1)
    tx = shop.settle(100, "a")
    shop.chain.inputs[tx] = "0xdeadbeef"
    shop.grow()
    shop.poll()
    assert (shop.rows(), shop.says()) == ([("confirmed", "", 100, 1)], [("agrees", 100)])


def test_a_gateway_that_does_not_answer_stops_nothing_and_a_late_batch_is_found(shop: Shop) -> None:
    shop.pay("a", 100, 1)
    shop.gateway.is_down = True
    shop.chain.land(shop.chain.head, moves(OTHER, TREASURY, 7))
    shop.grow()
    assert shop.poll().notes["gateway_not_asked"] == 1
    assert [row[:3] for row in shop.rows()] == [("confirmed", "", 7), ("off_chain", "", 100)]
    shop.grow(VALID_S)
    shop.poll()
    late = ("unknown", "not_settled_until_deadline", 100)
    assert [row[:3] for row in shop.rows()] == [("confirmed", "", 7), late]
    shop.gateway.is_down = False
    shop.settle(100, "a")
    shop.grow()
    shop.poll()
    assert shop.rows() == [("confirmed", "", 7, None), ("confirmed", "", 100, 1)]
    assert (shop.says(), shop.findings()) == ([("agrees", 107)], [])


def test_without_the_api_a_payment_is_off_the_chain_until_its_deadline(shop: Shop) -> None:
    shop.reads_gateway = False
    shop.pay("a", 100, 1)
    shop.grow()
    shop.poll()
    assert shop.rows() == [("off_chain", "", 100, 1)]
    shop.grow(VALID_S)
    shop.poll()
    assert [row[:3] for row in shop.rows()] == [("unknown", "not_settled_until_deadline", 100)]
    assert shop.gateway.asked == []


def test_payments_are_asked_for_in_turn(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("masques_pipelines.rails.base.gateway.ASKED_MAX", 2)
    for number in range(5):
        shop.pay(f"p{number}", 10 + number, number + 1)
    for _ in range(3):
        shop.poll()
    assert len(set(shop.gateway.asked)) == 5
