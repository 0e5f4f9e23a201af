"""Forged, replayed and refused lines, in all orders: they never change another payment's link."""

import itertools
import json
import random
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from masques_pipelines.rails.attribution import link_settlements
from masques_pipelines.rails.journal.lines import read_line
from masques_pipelines.rails.protocol import Observation
from masques_pipelines.rails.revisions import append, changes_of, current_revisions
from masques_pipelines.rails.settlement_ids import base_transfer, lightning_payment
from masques_pipelines.warehouse.client import Warehouse
from tests.campaigns.journal_lines import (
    AT_S,
    BASE,
    HASH,
    KNOWN,
    LIGHTNING,
    MINT,
    SOLANA,
    TREASURY,
    USDC,
    WALLET,
    sample,
)
from tests.support.campaign import rounds

OURS, FORGED = (uuid.UUID(int=number) for number in (10, 11))
TX = "0x" + "1" * 64
OTHER_TX = "0x" + "2" * 64
ORDERS = rounds(3)


def line(number: int, response: Any, *, transfer: uuid.UUID = FORGED, **more: Any) -> str:
    body = sample("x402_v2_facilitator_settle_http.json")
    record = {"recorded_at": AT_S + number, "event": "settle", "request": body["request"]}
    record |= {"response": response, "transaction_id": str(transfer), **more}
    return json.dumps(record)


def forged_value(number: int) -> str:
    body = sample("x402_v2_facilitator_settle_http.json")
    body["request"]["paymentPayload"]["payload"]["authorization"]["value"] = "999999999"
    return line(number, {"success": True, "transaction": OTHER_TX}, request=body["request"])


def refused(reason: str, transaction: str = "") -> dict[str, Any]:
    return {"success": False, "errorReason": reason, "transaction": transaction}


# The victim's line, and eight of an attacker who sends the same nonce (it is public).
LINES = [
    line(5, {"success": True, "transaction": TX}, transfer=OURS),
    line(1, refused("invalid_exact_evm_signature")),
    line(9, refused("transaction_failed", OTHER_TX)),
    line(2, None),
    line(8, {"success": True, "transaction": OTHER_TX}),
    line(3, {"success": True, "transaction": "pending"}),
    line(4, {"isValid": True}, event="verify"),
    line(6, refused("transaction_failed", TX)),
    forged_value(7),
]


def on_chain() -> Observation:
    announced = read_line(LINES[0], KNOWN).observation
    assert announced is not None
    return Observation(
        settlement_id=announced.settlement_id, source="chain", rail="base", network=BASE,
        direction="in", status="confirmed", amount=announced.amount, currency="USDC",
        timestamp_ns=(AT_S + 20) * 10**9, asset=USDC, to_address=announced.to_address,
        payer=announced.payer, payment_ref=announced.payment_ref, protocol="x402", tx_hash=TX,
        block_height=5, block_hash="0xb", finality="finalized",
    )  # fmt: skip


def write(warehouse: Warehouse, seen: list[Observation]) -> None:
    current = current_revisions(warehouse, [each.settlement_id for each in seen])
    append(warehouse, changes_of(seen, current), now=datetime.now(UTC))


def clear(warehouse: Warehouse) -> None:
    for table in ("masques.settlements", "masques_ops.settlement_links",
                  "masques_ops.settlement_claims", "masques_ops.settlement_findings"):  # fmt: skip
        warehouse.command(f"TRUNCATE TABLE {table}")


def links(warehouse: Warehouse) -> list[tuple[uuid.UUID, uuid.UUID]]:
    return warehouse.rows(
        "SELECT settlement_id, transaction_id FROM masques_ops.settlement_links FINAL "
        "ORDER BY settlement_id, transaction_id"
    )


def state(warehouse: Warehouse) -> list[dict[str, Any]]:
    return warehouse.records(
        "SELECT status, failure_reason, amount, to_address, payer, tx_hash, transaction_id, "
        "attributes "
        "FROM masques_marts.settlements_current"
    )


def in_runs(warehouse: Warehouse, order: Sequence[Observation | str], runs: int) -> None:
    """Reads lines and the chain's own observation in an order, in one run or one run each."""
    seen: list[Observation] = []
    for each in order:
        found = each if isinstance(each, Observation) else read_line(each, KNOWN).observation
        assert found is not None
        seen.append(found)
    for start in range(0, len(seen), -(-len(seen) // runs)):
        write(warehouse, seen[start : start + -(-len(seen) // runs)])
        link_settlements(warehouse)


def test_the_order_of_forged_and_replayed_lines_changes_nothing(warehouse: Warehouse) -> None:
    everything: list[Observation | str] = [*LINES, on_chain()]
    chooser = random.Random(12)
    orders = [everything, everything[::-1]]
    orders += [chooser.sample(everything, len(everything)) for _ in range(ORDERS)]
    states = []
    for number, order in enumerate(orders):
        clear(warehouse)
        in_runs(warehouse, order, runs=(1, 10, 3)[number % 3])
        settlement = on_chain().settlement_id
        assert links(warehouse) == [(settlement, OURS)], order
        states.append(state(warehouse))
    assert all(each == states[0] for each in states)
    (found,) = states[0]
    assert (found["status"], found["tx_hash"], found["transaction_id"]) == ("confirmed", TX, OURS)


def test_before_the_chain_is_seen_nothing_links(warehouse: Warehouse) -> None:
    for pair in itertools.permutations([LINES[0], LINES[4], LINES[8]]):
        clear(warehouse)
        in_runs(warehouse, list(pair), runs=1)
        assert links(warehouse) == []


@pytest.mark.parametrize("is_reversed", [False, True])
def test_two_proved_claims_are_a_finding_and_no_link(
    warehouse: Warehouse, is_reversed: bool
) -> None:
    second = line(6, {"success": True, "transaction": TX}, transfer=FORGED)
    order: list[Observation | str] = [LINES[0], second, on_chain()]
    in_runs(warehouse, order[::-1] if is_reversed else order, runs=3)
    assert links(warehouse) == []
    kinds = warehouse.rows("SELECT DISTINCT kind FROM masques_ops.settlement_findings FINAL")
    assert kinds == [("claims_disagree",)]


def payout(**more: Any) -> Observation:
    record = {"recorded_at": AT_S, "event": "payout", "transaction_ids": [str(OURS), str(FORGED)]}
    found = read_line(json.dumps(record | more), KNOWN).observation
    assert found is not None
    return found


SIGNATURE = sample("sol_x402_settle_response_success.json")["transaction"]
PAYOUTS = {
    "base": (
        payout(network="base", asset=USDC, amount="5", to=TREASURY, transaction=TX),
        base_transfer(BASE, TX, 0),
    ),
    "solana": (
        payout(network=SOLANA, asset=MINT, amount="5", to=WALLET, transaction=SIGNATURE),
        uuid.UUID(int=77),
    ),
    "lightning": (
        payout(network="lightning", amount="5", payment_hash=HASH),
        lightning_payment(HASH, "out"),
    ),
}


@pytest.mark.parametrize("rail", PAYOUTS)
@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_payout_is_linked_on_each_rail_and_leaves_no_phantom(
    warehouse: Warehouse, rail: str, is_reversed: bool
) -> None:
    announced, settlement = PAYOUTS[rail]
    network = {"base": BASE, "solana": SOLANA, "lightning": LIGHTNING}[rail]
    assert (announced.rail, announced.network) == (rail, network)
    seen = Observation(
        settlement_id=settlement, source="chain", rail=rail, network=network, direction="out",
        status="confirmed", amount=announced.amount, currency=announced.currency,
        timestamp_ns=(AT_S + 20) * 10**9, asset=announced.asset, payer="ours",
        to_address=announced.to_address or "02" + "ab" * 32, payment_ref=announced.tx_hash,
        tx_hash=announced.tx_hash, finality="final", block_height=5,
    )  # fmt: skip
    order = [announced, seen]
    in_runs(warehouse, order[::-1] if is_reversed else order, runs=2)
    link_settlements(warehouse)
    assert links(warehouse) == sorted([(settlement, OURS), (settlement, FORGED)])
    found = warehouse.rows(
        "SELECT status, sum(amount) FROM masques_marts.settlements_current "
        "GROUP BY status ORDER BY status"
    )
    confirmed = ("confirmed", Decimal(announced.amount))
    assert [row for row in found if row[0] != "superseded"] == [confirmed]
    assert warehouse.rows("SELECT kind FROM masques_ops.settlement_findings FINAL") == []
