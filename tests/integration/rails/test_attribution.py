"""Which account paid: by the journal's ledger transfer, then by the registry, else nobody."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from masques_pipelines.ledger.chart import load_chart, read_chart
from masques_pipelines.rails.attribution import link_settlements
from masques_pipelines.rails.protocol import UNATTRIBUTED
from masques_pipelines.warehouse.client import Warehouse
from tests.integration.rails.conftest import Polls
from tests.support.anvil import TREASURY, Anvil
from tests.support.x402_evm import BUYER, FACILITATOR, Payments

TRANSFER = uuid.UUID(int=4242)
PREPAID, TREASURY_ACCOUNT, AUTHOR = (uuid.UUID(int=n) for n in (200, 100, 300))
ALWAYS = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


@pytest.fixture(autouse=True)
def _ledger(warehouse: Warehouse, chain: Anvil) -> None:
    chain.mint(BUYER, 50_000_000)
    chain.mint(FACILITATOR, 50_000_000)
    now = datetime.now(UTC)
    warehouse.insert_rows(
        "masques.accounts",
        ("account_id", "code", "snapshot_at"),
        [(PREPAID, 200, now), (TREASURY_ACCOUNT, 100, now), (AUTHOR, 300, now)],
    )
    load_chart(warehouse, read_chart(None))


def transfer(warehouse: Warehouse, debit: uuid.UUID, credit: uuid.UUID) -> None:
    warehouse.insert_rows(
        "masques.transactions",
        ("transaction_id", "timestamp", "debit_account_id", "credit_account_id", "event_type"),
        [(TRANSFER, datetime.now(UTC), debit, credit, "single_phase")],
    )


def register(
    warehouse: Warehouse, account: uuid.UUID, valid: tuple[datetime, datetime], network: str = ""
) -> None:
    warehouse.insert_rows(
        "masques_ops.payer_addresses",
        ("rail", "network", "address", "account_id", "valid_from", "valid_to", "recorded_at"),
        [("base", network, BUYER, account, *valid, datetime.now(UTC))],
    )


def accounts(polls: Polls) -> list[tuple[Any, ...]]:
    return polls.warehouse.rows(
        "SELECT revision, status, from_account_id, transaction_id FROM masques.settlements "
        "ORDER BY settlement_id, revision"
    )


@pytest.mark.parametrize(
    "sides",  # debit and credit; the prepaid account is the payer's
    [
        # A deposit: the treasury's side is ours.
        (TREASURY_ACCOUNT, PREPAID),
        # A payment for a call: the prepaid account pays the author.
        (PREPAID, AUTHOR),
    ],
)
def test_the_journals_transfer_leads_to_the_account(
    polls: Polls, payments: Payments, chain: Anvil, sides: tuple[uuid.UUID, uuid.UUID]
) -> None:
    payload = payments.sign(1_000)
    payments.settle(payload, transaction_id=str(TRANSFER))
    chain.finalize()
    polls.poll()  # the ledger's copy is behind
    assert accounts(polls)[-1][1:] == ("confirmed", UNATTRIBUTED, TRANSFER)
    transfer(polls.warehouse, *sides)
    polls.poll()
    polls.poll()

    assert accounts(polls) == [
        (1, "pending", UNATTRIBUTED, None),
        (2, "confirmed", UNATTRIBUTED, None),
        (3, "confirmed", UNATTRIBUTED, TRANSFER),  # a link has to be proved by the chain
        (4, "confirmed", PREPAID, TRANSFER),  # known later: a revision, and only one
    ]


def test_a_journal_that_comes_after_the_chain_links_all_the_same(
    polls: Polls, payments: Payments, chain: Anvil
) -> None:
    transfer(polls.warehouse, PREPAID, AUTHOR)
    payload = payments.sign(1_000)
    answer = payments.settle(payload, note=False)
    chain.finalize()
    polls.poll()
    payments.note("settle", payload, answer, transaction_id=str(TRANSFER.int))
    polls.poll()
    assert accounts(polls)[-1] == (3, "confirmed", PREPAID, TRANSFER)
    assert polls.findings() == []
    assert polls.warehouse.rows(
        "SELECT transaction_id FROM masques_ops.settlement_links FINAL"
    ) == [(TRANSFER,)]


def test_an_announcement_with_other_facts_lends_its_transfer_to_nobody(
    polls: Polls, payments: Payments, chain: Anvil
) -> None:
    transfer(polls.warehouse, PREPAID, AUTHOR)
    payload = payments.sign(1_000)
    answer = payments.settle(payload, note=False)
    # A gate that notes another amount than was signed.
    payload.payload["authorization"]["value"] = "1000000"
    payments.note("settle", payload, answer, transaction_id=str(TRANSFER))
    chain.finalize()
    polls.poll()
    assert accounts(polls)[-1] == (2, "confirmed", UNATTRIBUTED, None)
    sent = answer["transaction"]
    assert polls.findings() == [
        (
            "claim_disagrees",
            (
                f"not linked to {TRANSFER}: the line names other money than the transaction "
                f"moved: {sent}"
            ),
        ),
        ("intent_disagrees", "amount 1.000000000000000000 and 0.001000"),
    ]


def test_the_registry_is_asked_second_and_only_for_its_time(
    polls: Polls, payments: Payments, chain: Anvil
) -> None:
    past = (ALWAYS[0], datetime(2021, 1, 1, tzinfo=UTC))
    register(polls.warehouse, AUTHOR, past)  # the address was somebody else's then
    payments.send(payments.sign(1_000))
    chain.transfer(FACILITATOR, TREASURY, 1_000)  # the same amount from an address nobody knows
    chain.finalize()
    polls.poll()
    register(polls.warehouse, PREPAID, (datetime(2021, 1, 1, tzinfo=UTC), ALWAYS[1]))
    polls.poll()
    assert polls.warehouse.rows(
        "SELECT payer, from_account_id FROM masques_marts.settlements_current ORDER BY payer"
    ) == sorted([(BUYER, PREPAID), (FACILITATOR, UNATTRIBUTED)])

    # Two accounts with one address at one time are none.
    register(polls.warehouse, AUTHOR, ALWAYS)
    payments.send(payments.sign(2_000))
    chain.finalize()
    polls.poll()
    assert polls.warehouse.rows(
        "SELECT from_account_id FROM masques_marts.settlements_current WHERE amount = 0.002"
    ) == [(UNATTRIBUTED,)]
    assert link_settlements(polls.warehouse) == 0


def test_an_entry_of_the_network_comes_before_one_of_all_networks(
    polls: Polls, payments: Payments, chain: Anvil
) -> None:
    payments.send(payments.sign(1_000))
    chain.finalize()
    register(polls.warehouse, AUTHOR, ALWAYS, "eip155:137")  # somebody else's, on Polygon
    polls.poll()
    account = "SELECT from_account_id FROM masques_marts.settlements_current"
    assert polls.warehouse.rows(account) == [(UNATTRIBUTED,)]
    register(polls.warehouse, PREPAID, ALWAYS, "eip155:8453")
    register(polls.warehouse, AUTHOR, ALWAYS)
    polls.poll()
    assert polls.warehouse.rows(account) == [(PREPAID,)]
    assert polls.warehouse.scalar("SELECT count() FROM masques_ops.payer_addresses FINAL") == 3
