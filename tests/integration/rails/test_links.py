"""Links are earned: what a forged, refused or repeated line names never changes another's link."""

import itertools
import random
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from masques_pipelines.rails.attribution import link_settlements
from masques_pipelines.rails.protocol import ANSWER, ANSWERS, JOURNAL_AT, Observation
from masques_pipelines.rails.revisions import append, changes_of, current_revisions
from masques_pipelines.rails.settlement_ids import base_authorization, base_transfer, settlement_id
from masques_pipelines.warehouse.client import Warehouse

NETWORK, USDC, PAYER, US = "eip155:8453", "0xusdc", "0xpayer", "0xus"
PAID, OTHER = (base_authorization(NETWORK, USDC, PAYER, nonce) for nonce in ("0x01", "0x02"))
TX, OTHER_TX = "0x" + "aa" * 32, "0x" + "bb" * 32
V, A, B = (uuid.UUID(int=n) for n in (1000, 2000, 3000))
T0 = 1_790_000_000 * 10**9


def line(at: int, answer: str, *ids: uuid.UUID, **changed: Any) -> Observation:
    fields: dict[str, Any] = {
        "settlement_id": PAID,
        "source": "intent",
        "rail": "base",
        "network": NETWORK,
        "direction": "in",
        "status": "pending",
        "amount": Decimal(5),
        "currency": "USDC",
        "timestamp_ns": T0 + at * 10**9,
        "asset": USDC,
        "to_address": US,
        "payer": PAYER,
        "protocol": "x402",
        "tx_hash": TX if answer in ("success", "pending", "failed") else "",
        "transaction_ids": ids,
        "attributes": {ANSWER: answer, JOURNAL_AT: f"2026-11-20T10:00:{at:02d}.000000"},
    }
    return Observation(**{**fields, **changed})


def mined(**changed: Any) -> Observation:
    fields = {
        "source": "chain",
        "status": "confirmed",
        "finality": "finalized",
        "tx_hash": TX,
        "block_height": 7,
        "attributes": {"submitted_by": "0xf"},
        "protocol": "",
    }
    return line(30, "success", **{**fields, **changed})


def write(warehouse: Warehouse, *observations: Observation) -> None:
    known = current_revisions(warehouse, [each.settlement_id for each in observations])
    append(warehouse, changes_of(observations, known), now=datetime.now(UTC))
    link_settlements(warehouse)


def links(warehouse: Warehouse) -> list[tuple[uuid.UUID, uuid.UUID]]:
    return warehouse.rows(
        "SELECT settlement_id, transaction_id FROM masques_ops.settlement_links FINAL ORDER BY ALL"
    )


def rows(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return warehouse.rows(
        "SELECT settlement_id, status, amount, to_address, tx_hash, transaction_id, "
        "attributes['answer'] FROM masques_marts.settlements_current "
        "ORDER BY toString(settlement_id)"
    )


def kinds(warehouse: Warehouse) -> list[str]:
    found = warehouse.rows("SELECT kind FROM masques_ops.settlement_findings FINAL ORDER BY kind")
    return [str(kind) for (kind,) in found]


TRUE = line(20, "success", V)
# What an attacker can make the gate write about the victim's payment, with ids of the attacker.
FORGED = [
    line(1, "refused", A),
    line(2, "refused", A, amount=Decimal(999)),
    line(3, "unanswered", A, amount=Decimal(1), to_address="0xattacker"),
    line(4, "verified", A),
    line(21, "refused", A),
    line(22, "unanswered", A, status="unknown", failure_reason="no_answer"),
    line(23, "verified", A, B, amount=Decimal(1)),
    line(24, "failed", A, tx_hash=OTHER_TX),
    line(25, "refused", B, to_address="0xattacker"),
]
EXPECTED = (PAID, "confirmed", Decimal(5), US, TX, V, "success")


def orders(count: int, items: Sequence[Observation]) -> Iterable[list[Observation]]:
    dice = random.Random(12)
    for _ in range(count):
        yield dice.sample(items, len(items))


@pytest.mark.parametrize("order", list(orders(6, [TRUE, mined(), *FORGED])), ids=str)
def test_nine_forged_lines_change_nothing_in_any_order(
    warehouse: Warehouse, order: list[Observation]
) -> None:
    for start in range(0, len(order), 4):  # files that are read in different runs
        write(warehouse, *order[start : start + 4])
    assert links(warehouse) == [(PAID, V)]
    assert rows(warehouse) == [EXPECTED]


def test_every_order_of_the_lines_of_one_run_makes_the_same_row() -> None:
    dice = random.Random(7)
    lines = [
        line(
            dice.randrange(5),
            dice.choice(ANSWERS),
            amount=Decimal(dice.randrange(1, 4)),
            to_address=dice.choice([US, "0xattacker"]),
            tx_hash=dice.choice(["", TX, OTHER_TX]),
        )
        for _ in range(60)
    ]
    for _ in range(300):
        some = dice.sample(lines, 4)
        outcomes = set()
        for order in itertools.permutations(some):
            (row,) = changes_of(order, {}).revisions
            outcomes.add(str((row.seen, sorted(row.seen.attributes.items()))))
        assert len(outcomes) == 1, some


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_two_claims_that_are_both_proved_link_nothing_and_are_a_finding(
    warehouse: Warehouse, order: tuple[int, ...]
) -> None:
    told = [TRUE, line(40, "success", A), mined()]
    for number in order:
        write(warehouse, told[number])
    assert links(warehouse) == []
    assert rows(warehouse)[0][5] is None
    assert "claims_disagree" in kinds(warehouse)
    write(warehouse, *told)
    assert kinds(warehouse).count("claims_disagree") == 1


def test_a_claim_waits_for_the_chain_and_needs_its_transaction(warehouse: Warehouse) -> None:
    write(warehouse, TRUE)
    assert links(warehouse) == []  # the chain has not said anything
    write(warehouse, mined(tx_hash=OTHER_TX))
    assert links(warehouse) == []  # not this transaction
    assert kinds(warehouse) == ["claim_disagrees"]


def test_a_link_is_withdrawn_with_its_account_when_the_chain_changes(warehouse: Warehouse) -> None:
    account = uuid.UUID(int=77)
    warehouse.insert_rows(
        "masques.transactions",
        ("transaction_id", "timestamp", "debit_account_id", "credit_account_id", "event_type"),
        [(V, datetime.now(UTC), account, uuid.UUID(int=78), "single_phase")],
    )
    of_account = "SELECT from_account_id, transaction_id FROM masques_marts.settlements_current"
    write(warehouse, TRUE, mined())
    assert warehouse.rows(of_account) == [(account, V)]
    write(warehouse, mined(status="failed", failure_reason="reorged_out", tx_hash=OTHER_TX))
    assert links(warehouse) == []
    assert warehouse.rows(of_account) == [(uuid.UUID(int=0), None)]
    write(warehouse, mined())
    assert warehouse.rows(of_account) == [(account, V)]
    assert links(warehouse) == [(PAID, V)]


def test_one_line_may_name_several_transfers(warehouse: Warehouse) -> None:
    write(warehouse, line(20, "success", A, V), line(20, "success", V, A), mined())
    assert links(warehouse) == [(PAID, V), (PAID, A)]
    assert rows(warehouse)[0][5] == V


def test_an_announcement_under_another_id_is_superseded_and_its_link_kept(
    warehouse: Warehouse,
) -> None:
    attempt = settlement_id("attempt", "permit2")
    transfer = base_transfer(NETWORK, TX, 3)
    # Up to 9 may be charged, 5 were; the money is in the table once.
    write(
        warehouse,
        line(20, "success", V, settlement_id=attempt, amount=Decimal(9)),
        mined(settlement_id=transfer),
        # Of another transaction, and of another receiver: not these.
        line(20, "success", A, settlement_id=OTHER, tx_hash=OTHER_TX),
    )
    assert links(warehouse) == [(transfer, V)]
    assert {row[0]: (row[1], row[5]) for row in rows(warehouse)} == {
        attempt: ("superseded", None),
        transfer: ("confirmed", V),
        OTHER: ("pending", None),
    }
    confirmed = "SELECT sum(amount) FROM masques.settlements WHERE status = 'confirmed'"
    assert warehouse.scalar(confirmed + " AND revision = 1") == Decimal(5)
    write(warehouse, mined(settlement_id=transfer))
    assert links(warehouse) == [(transfer, V)]


@pytest.mark.parametrize("status", ["off_chain", "claimable", "not_followed"])
def test_what_needs_no_transaction_is_linked_by_its_answer(
    warehouse: Warehouse, status: str
) -> None:
    write(warehouse, line(20, "success", V, status=status, tx_hash=""))
    assert links(warehouse) == [(PAID, V)]
    write(warehouse, line(21, "refused", A, status="pending"))
    assert links(warehouse) == [(PAID, V)]
    assert rows(warehouse)[0][1] == status
