"""Money that did not move finally moves no score: vouchers, `upto`, Permit2, signed transfers."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from masques_pipelines.reputation.facts import write_facts
from masques_pipelines.reputation.signals import write_signals
from masques_pipelines.warehouse.client import Warehouse
from tests.support.reputation_world import (
    NOBODY,
    Event,
    Score,
    Settlement,
    World,
    ident,
    sql_scores,
)

NOW = datetime.now(UTC).replace(microsecond=0)
AT = NOW - timedelta(days=2)
# What a payment may be at without money that moved finally: status and reason.
UNFINAL = {
    "a voucher before its deposit is final": ("off_chain", ""),
    "a voucher that nobody claimed yet": ("claimable", ""),
    "a voucher whose payer took the money back": ("failed", "claim_expired"),
    "a voucher without a deposit": ("unknown", "deposit_not_found"),
    "a voucher that was refused": ("not_followed", "refused"),
    "upto that the chain has not": ("pending", ""),
    "upto that reverted": ("unknown", "transaction_reverted"),
    "upto without an answer": ("unknown", "no_answer"),
    "Permit2 that the chain never had": ("unknown", "transaction_not_found"),
    "Permit2 whose chain row has the money": ("superseded", ""),
    "Permit2 that a fork undid": ("failed", "reorged_out"),
    "a signed transfer that reverted": ("failed", "transaction_reverted"),
    "a signed transfer that expired": ("failed", "authorization_expired"),
    "a signed transfer whose nonce paid somebody else": ("failed", "paid_elsewhere"),
    "Circle Gateway's batch to come": ("off_chain", ""),
    "MPP on another chain": ("not_followed", ""),
}
CANCELED = ("failed", "authorization_canceled")


def paid_world(count: int, *, is_deposit: bool) -> tuple[World, list[Settlement]]:
    """A world with ratings and payments over the treasury, and the settlements to come."""
    agent, seller = ident("agent"), ident("seller")
    world = World(identities={agent: {}, seller: {}})
    treasury = world.account(NOBODY, "treasury")
    for number in range(6):
        paid = world.pay(agent, seller, AT - timedelta(hours=number))
        rating = Event(seller, AT, reference_type="transaction", reference=paid)
        world.events.append(rating)
    settlements = []
    for number in range(count):
        if is_deposit:
            credit = world.account(agent)
            paid = world.pay(agent, agent, AT, debit=treasury, credit=credit, kind="deposit")
        else:
            paid = world.pay(agent, seller, AT, debit=treasury)
            rating = Event(
                seller, AT, reference_type="transaction", reference=paid, counterparty=str(agent)
            )
            world.events.append(rating)
        settlements.append(Settlement(ident(f"paid {number}"), AT, "pending", paid, "0x1"))
    return world, settlements


def scores(warehouse: Warehouse) -> dict[uuid.UUID, Score]:
    """All scores. How many words are left out is no score: those about a failed payment are."""
    found = sql_scores(warehouse, NOW)
    return {each: replace(score, excluded=0) for each, score in found.items()}


@pytest.mark.parametrize("is_deposit", [False, True], ids=["per call", "a deposit"])
def test_no_score_moves_by_money_that_did_not_move(
    warehouse: Warehouse, *, is_deposit: bool
) -> None:
    # Who takes a signature back is known of a deposit alone: it is for the payer's own account.
    flows = [*UNFINAL.values(), *([] if is_deposit else [CANCELED])]
    world, settlements = paid_world(len(flows), is_deposit=is_deposit)
    world.load(warehouse)
    write_signals(warehouse)
    write_facts(warehouse)
    before = scores(warehouse)
    assert before[ident("seller")].events >= 6

    later = World()
    later.settlements = [
        Settlement(each.settlement_id, AT, status, each.transfer, "0x1", reason=reason)
        for each, (status, reason) in zip(settlements, flows, strict=True)
    ]
    later.load(warehouse, ingested_at=datetime.now(UTC))
    assert write_signals(warehouse) == 0
    write_facts(warehouse)
    assert scores(warehouse) == before


def test_a_signature_that_is_taken_back_blames_the_payer_alone(warehouse: Warehouse) -> None:
    for is_deposit in (True, False):
        world, (settlement,) = paid_world(1, is_deposit=is_deposit)
        status, reason = CANCELED
        other = ident(f"canceled {is_deposit}")
        world.settlements = [
            Settlement(other, AT, status, settlement.transfer, "0x1", reason=reason)
        ]
        world.load(warehouse)
    write_signals(warehouse)
    blamed = "SELECT identity_id, reference_id FROM masques.reputation_events WHERE score_delta < 0"
    assert warehouse.rows(blamed) == [(ident("agent"), str(ident("canceled True")))]
