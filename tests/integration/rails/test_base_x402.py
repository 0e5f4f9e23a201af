"""Base with the real x402 SDK on a real chain: the gate announces, the chain decides."""

import base64
import dataclasses
import functools
import json
import time
from decimal import Decimal
from typing import Any

import pytest

from masques_pipelines.rails import settlement_ids
from masques_pipelines.rails.base import open_settlements, rail
from masques_pipelines.rails.base.logs import LogReader
from masques_pipelines.rails.protocol import RailUnavailableError
from masques_pipelines.rails.rewind import rewind
from masques_pipelines.settings import read_settings
from tests.integration.rails.conftest import NETWORK, Polls
from tests.support.anvil import TREASURY, USDC, Anvil
from tests.support.x402_evm import BUYER, FACILITATOR, RESOURCE, Payments

ZERO = Decimal(0)
OTHER = "0x00000000000000000000000000000000000000aa"


@pytest.fixture(autouse=True)
def _funded(chain: Anvil) -> None:
    chain.mint(BUYER, 50_000_000)


def nonce_of(payload: Any) -> str:
    return str(payload.payload["authorization"]["nonce"]).lower()


def id_of(payload: Any) -> Any:
    return settlement_ids.base_authorization(NETWORK, USDC, BUYER, nonce_of(payload))


def test_a_payment_through_the_facilitator_is_pending_then_confirmed(
    polls: Polls, payments: Payments, chain: Anvil
) -> None:
    payload = payments.sign(12_345)
    payments.note("verify", payload, {"isValid": True, "payer": BUYER})
    polls.poll()
    answer = payments.settle(payload)
    polls.poll()
    chain.finalize()
    polls.poll()

    receipt = chain.receipt(answer["transaction"])
    block = chain.rpc("eth_getBlockByNumber", receipt["blockNumber"], False)
    fee = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    rows = polls.history()
    assert [(r["status"], r["finality"], r["revision"]) for r in rows] == [
        ("pending", "", 1),  # the gate verified
        ("pending", "", 2),  # the facilitator answered: a hash, and no more than a word
        ("pending", "latest", 3),
        ("confirmed", "finalized", 4),
    ]
    journal_at = rows[3]["attributes"].pop("journal_at")
    assert journal_at.endswith("#2")
    assert {k: v for k, v in rows[3].items() if k not in ("timestamp", "from_account_id")} == {
        "settlement_id": id_of(payload),
        "rail": "base",
        "protocol": "x402",
        "amount": Decimal("0.012345"),
        "currency": "USDC",
        "tx_hash": answer["transaction"],
        "block_height": int(receipt["blockNumber"], 16),
        "confirmations": 10,
        "to_address": TREASURY,
        "status": "confirmed",
        "failure_reason": "",
        "network_fee": Decimal(fee).scaleb(-18),
        "facilitator_fee": ZERO,
        "direction": "in",
        "revision": 4,
        "finality": "finalized",
        "block_hash": receipt["blockHash"],
        "network": NETWORK,
        "asset": USDC,
        "payer": BUYER,
        "payment_ref": nonce_of(payload),
        "fee_currency": "ETH",
        "transaction_id": None,
        "attributes": {
            "answer": "success",
            "deadline_s": payload.payload["authorization"]["validBefore"],
            "facilitator_said": "success",
            "resource": RESOURCE,
            "scheme": "exact",
            "submitted_by": FACILITATOR,
        },
    }
    assert int(rows[3]["timestamp"].timestamp()) == int(block["timestamp"], 16)
    assert polls.findings() == []


def test_a_buyer_pays_a_resource_server_over_http_and_the_journal_matches(
    polls: Polls, payments: Payments, chain: Anvil
) -> None:
    from tests.support.x402_http import (  # noqa: PLC0415 - it loads the SDK; see x402_evm.py
        buy,
        facilitator_app,
        served,
        shop_app,
    )

    noted: list[dict[str, str]] = []
    with (
        served(facilitator_app(payments.facilitator)) as facilitator_url,
        served(shop_app(facilitator_url, "$0.012345", noted.append)) as shop_url,
    ):
        status, body = buy(f"{shop_url}/data")
    assert (status, body) == (200, {"weather": "fine"})
    # The gate keeps what went over the line: header form, signature and all.
    payments.write({"recorded_at": time.time(), "headers": noted[0]})
    polls.poll()
    chain.finalize()
    polls.poll()

    answer = json.loads(base64.b64decode(noted[0]["PAYMENT-RESPONSE"]))
    assert answer["success"]
    rows = polls.history()
    assert [(r["status"], r["finality"], r["tx_hash"]) for r in rows] == [
        ("pending", "", answer["transaction"]),
        ("pending", "latest", answer["transaction"]),
        ("confirmed", "finalized", answer["transaction"]),
    ]
    assert rows[-1]["amount"] == Decimal("0.012345")
    assert rows[-1]["attributes"]["facilitator_said"] == "success"  # one row with its journal
    assert rows[-1]["attributes"]["resource"] == f"{shop_url}/data"
    signed = json.loads(base64.b64decode(noted[0]["PAYMENT-SIGNATURE"]))
    stored = polls.warehouse.text("SELECT * FROM masques.settlements", fmt="JSONEachRow")
    assert signed["payload"]["signature"][2:] not in stored


def test_settlement_pending_confirms_later(polls: Polls, payments: Payments, chain: Anvil) -> None:
    # The facilitator gives up waiting; the transaction is mined after that.
    payments.settle_timeout_s = 0.3
    payments.facilitator = payments.new_facilitator()
    chain.set_automine(on=False)
    payload = payments.sign(20_001)
    answer = payments.settle(payload)
    assert (answer["success"], answer["errorReason"]) == (False, "settlement_pending")
    polls.poll()
    chain.set_automine(on=True)
    chain.finalize()
    polls.poll()

    assert [(r["status"], r["tx_hash"], r["finality"]) for r in polls.history()] == [
        ("pending", answer["transaction"], ""),
        ("confirmed", answer["transaction"], "finalized"),
    ]
    assert polls.findings() == []  # "pending" is no contradiction


def test_a_reverted_transaction_fails_when_it_is_final_and_its_deadline_is_past(
    polls: Polls, payments: Payments, chain: Anvil
) -> None:
    payload = payments.sign(60_000_000)  # more than the buyer has
    answer = payments.settle(payload)
    assert answer["errorReason"] == "transaction_failed"
    polls.poll()
    chain.finalize()
    polls.poll()
    # Until its deadline the same authorization may be sent again.
    assert polls.statuses() == [("pending", "")]
    chain.pass_time(400)
    chain.finalize()
    polls.poll()

    receipt = chain.receipt(answer["transaction"])
    assert receipt["status"] == "0x0"
    last = polls.history()[-1]
    assert (last["status"], last["failure_reason"]) == ("failed", "transaction_reverted")
    assert last["block_height"] == int(receipt["blockNumber"], 16)
    fee = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    assert last["network_fee"] == Decimal(fee).scaleb(-18)  # a revert is paid for all the same


def test_payments_that_never_end_keep_no_other_waiting(
    polls: Polls, payments: Payments, chain: Anvil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_settlements, "DECISIONS_MAX", 2)
    monkeypatch.setattr(open_settlements, "LOOKED_MAX", 3)
    monkeypatch.setattr(rail, "OPEN_MAX", 3)
    monkeypatch.setattr(polls, "open_max", 3)
    # The payer chooses the deadline: these are free, and all of them are looked at first.
    never = [payments.sign(1_000, valid_s=10**9) for _ in range(7)]
    for payload in never:
        payments.note("verify", payload, {"isValid": True})
    victim = payments.sign(60_000_000)  # more than the buyer has
    while str(id_of(victim)) < max(str(id_of(each)) for each in never):
        victim = payments.sign(60_000_000)
    payments.settle(victim)
    polls.poll()
    chain.pass_time(400)
    chain.finalize()
    for _ in range(3):
        polls.poll()
    newest = "SELECT status, failure_reason FROM masques_marts.settlements_current"
    assert sorted(polls.warehouse.rows(newest)) == [
        ("failed", "transaction_reverted"),
        *[("pending", "")] * 7,
    ]


def test_a_replayed_authorization_changes_nothing(
    polls: Polls, payments: Payments, chain: Anvil
) -> None:
    payload = payments.sign(30_000)
    first = payments.settle(payload)
    # Another process of the facilitator: it does not remember, broadcasts again, and reverts.
    payments.facilitator = payments.new_facilitator()
    second = payments.settle(payload)
    assert (first["success"], second["errorReason"]) == (True, "transaction_failed")
    assert second["transaction"] != first["transaction"]
    chain.finalize()
    polls.poll()

    last = polls.history()[-1]
    assert (last["settlement_id"], last["status"]) == (id_of(payload), "confirmed")
    assert last["tx_hash"] == first["transaction"]
    # The answer that proves most is the one that counts.
    assert polls.findings() == []
    rewind(polls.warehouse, read_settings({}), "base", 0)
    again = polls.poll()  # all of it is read again, and nothing is found twice
    assert (again.observations, again.revisions, again.findings) == (1, 0, 0)


def test_a_sped_up_transaction_is_the_same_settlement(
    polls: Polls, payments: Payments, chain: Anvil
) -> None:
    chain.set_automine(on=False)
    payload = payments.sign(20_002)
    nonce = chain.rpc("eth_getTransactionCount", FACILITATOR, "latest")
    slow = payments.send(payload, nonce=nonce, gasPrice=hex(2 * 10**9))
    payments.note(
        "settle",
        payload,
        {"success": False, "errorReason": "settlement_pending", "transaction": slow},
    )
    polls.poll()
    fast = payments.send(payload, nonce=nonce, gasPrice=hex(4 * 10**9))
    assert fast != slow
    chain.mine()
    assert chain.rpc("eth_getTransactionReceipt", slow) is None
    chain.finalize()
    polls.poll()

    assert [(r["settlement_id"], r["status"], r["tx_hash"]) for r in polls.history()] == [
        (id_of(payload), "pending", slow),
        (id_of(payload), "confirmed", fast),
    ]


def test_a_dropped_transaction_expires_and_a_rebroadcast_one_is_found(
    polls: Polls, payments: Payments, chain: Anvil
) -> None:
    chain.set_automine(on=False)
    lost, found = payments.sign(20_003, valid_s=300), payments.sign(20_004, valid_s=300)
    for payload in (lost, found):
        tx_hash = payments.send(payload)
        payments.note("settle", payload, {"success": True, "transaction": tx_hash})
        chain.rpc("anvil_dropTransaction", tx_hash)
    polls.poll()
    again = payments.send(found, gasPrice=hex(5 * 10**9))
    chain.mine()
    polls.poll()
    chain.pass_time(400)
    chain.finalize()
    polls.poll()

    rows = {r["settlement_id"]: r for r in polls.history()}
    assert (rows[id_of(found)]["status"], rows[id_of(found)]["tx_hash"]) == ("confirmed", again)
    failed = rows[id_of(lost)]
    assert (failed["status"], failed["failure_reason"]) == ("failed", "authorization_expired")
    assert int(failed["timestamp"].timestamp()) == int(failed["attributes"]["deadline_s"])
    assert polls.findings() == [
        (
            "facilitator_contradicted",
            "answered success, the payment failed: authorization_expired",
        )
    ]


def test_a_canceled_authorization_fails_as_canceled(
    polls: Polls, payments: Payments, chain: Anvil
) -> None:
    sent, verified = payments.sign(20_005), payments.sign(20_007)
    payments.note("settle", sent, None)
    payments.note("verify", verified, {"isValid": True})
    for payload in (sent, verified):
        payments.cancel(payload)
    polls.poll()
    # authorizationState is true now, and no payment was made.
    assert sorted(polls.statuses()) == [("pending", ""), ("unknown", "no_answer")]
    chain.pass_time(400)
    chain.finalize()
    polls.poll()
    found = {r["settlement_id"]: (r["status"], r["failure_reason"]) for r in polls.history()}
    assert found == {
        id_of(sent): ("failed", "authorization_canceled"),
        # Nobody sent it: it is closed in bulk, without a call of the node.
        id_of(verified): ("unknown", "not_seen_until_deadline"),
    }


def test_a_settlement_without_an_answer_is_unknown_until_the_chain_decides(
    polls: Polls, payments: Payments, chain: Anvil
) -> None:
    payload = payments.sign(20_006)
    payments.note("settle", payload, None)
    polls.poll()
    assert polls.statuses() == [("unknown", "no_answer")]
    payments.send(payload)
    chain.finalize()
    polls.poll()
    assert polls.statuses() == [("unknown", "no_answer"), ("confirmed", "")]


def test_a_run_that_catches_up_finds_what_was_paid_elsewhere_long_ago(
    polls: Polls, payments: Payments, chain: Anvil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More payments, and earlier ones, than the search through the newest blocks reaches."""
    monkeypatch.setattr(open_settlements, "EVENT_RANGES_MAX", 1)
    monkeypatch.setattr(open_settlements, "EARLIER_MAX", 2)
    monkeypatch.setattr(rail, "LogReader", functools.partial(LogReader, size=50, ceiling=50))
    signed = [payments.sign(units, pay_to=OTHER) for units in (1, 2, 3)]
    for payload in signed:
        tx_hash = payments.send(payload)
        # The line names no transaction: only the event of the authorization leads to it.
        payments.note("settle", payload, {"success": True, "transaction": ""})
        assert tx_hash
    chain.rpc("anvil_mine", hex(300), hex(60))
    expected = {id_of(payload): ("unknown", "paid_outside_treasury") for payload in signed}
    for closed in (2, 3):
        polls.poll()
        last = {r["settlement_id"]: (r["status"], r["failure_reason"]) for r in polls.history()}
        found = {key: value for key, value in last.items() if value[0] != "pending"}
        assert len(found) == closed
        assert found.items() <= expected.items()


def test_what_could_not_be_searched_for_is_not_closed(
    polls: Polls, payments: Payments, chain: Anvil, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = payments.sign(1, pay_to=OTHER)
    payments.send(payload)
    payments.note("settle", payload, {"success": True, "transaction": ""})
    chain.rpc("anvil_mine", hex(300), hex(60))
    read = LogReader.read

    def refuse(reader: LogReader, queries: Any, first: int, last: int) -> Any:
        if any(len(query["topics"]) == 3 and len(query["topics"][0]) == 2 for query in queries):
            raise RailUnavailableError("busy")
        return read(reader, queries, first, last)

    with monkeypatch.context() as busy:
        busy.setattr(LogReader, "read", refuse)
        assert polls.poll().findings == 0
    assert polls.statuses() == [("pending", "")]
    polls.poll()
    assert polls.statuses()[-1] == ("unknown", "paid_outside_treasury")


def test_what_was_announced_before_the_scan_began_is_decided_by_the_contract(
    polls: Polls, payments: Payments, chain: Anvil
) -> None:
    paid, canceled, unused = (payments.sign(units) for units in (1, 2, 3))
    tx_hash = payments.send(paid)
    payments.cancel(canceled)
    payments.note("settle", paid, {"success": True, "transaction": tx_hash})
    for payload in (canceled, unused):
        payments.note("settle", payload, None)
    chain.pass_time(500)
    chain.finalize()
    polls.config = dataclasses.replace(polls.config, start_block=chain.head)
    chain.finalize()
    polls.poll()

    found = {r["settlement_id"]: (r["status"], r["failure_reason"]) for r in polls.history()}
    assert found == {
        id_of(paid): ("confirmed", ""),  # its transaction is known and was asked for
        id_of(canceled): ("failed", "authorization_canceled"),  # by its event
        id_of(unused): ("failed", "authorization_expired"),
    }
    before = polls.history()
    polls.poll()
    assert polls.history() == before
