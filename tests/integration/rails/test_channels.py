"""Payments by voucher on a real chain: each is one settlement, from its line to its claim."""

from decimal import Decimal
from typing import Any

import pytest

from tests.integration.rails.conftest import Polls
from tests.support.anvil import Anvil
from tests.support.x402_channels import DELAY_S, ChannelShop, escrow_holds
from tests.support.x402_evm import BUYER, Payments

Row = tuple[str, str, int, int | None]


@pytest.fixture
def shop(payments: Payments, chain: Anvil) -> ChannelShop:
    chain.mint(BUYER, 50_000_000)
    return ChannelShop(payments)


def rows(polls: Polls) -> list[Row]:
    """Status, reason, units and number of the ledger transfer of each settlement that counts."""
    found = polls.warehouse.rows(
        "SELECT status, failure_reason, amount, transaction_id "
        "FROM masques_marts.settlements_current WHERE status != 'superseded' "
        "ORDER BY toUInt64OrZero(attributes['charged_total']), amount"
    )
    return [
        (status, reason, int(amount.scaleb(6)), transfer.int if transfer else None)
        for status, reason, amount, transfer in found
    ]


def settle(polls: Polls) -> None:
    polls.chain.finalize()
    polls.poll()


def agrees(polls: Polls) -> None:
    """The chain check holds to one unit, and nothing is a finding."""
    found = polls.warehouse.rows("SELECT state, difference FROM masques_marts.chain_balances")
    assert found == [("agrees", 0)]
    assert polls.findings() == []


def test_each_voucher_is_one_settlement_from_its_line_to_its_claim(
    polls: Polls, shop: ChannelShop, chain: Anvil
) -> None:
    settle(polls)
    shop.pay(1_000, 1)  # brings the deposit of 10,000
    shop.pay(2_000, 2, charged=1_500)
    shop.pay(700, 3)
    polls.poll()
    assert [status for status, *_ in rows(polls)] == ["off_chain"] * 3
    settle(polls)
    assert rows(polls) == [
        ("claimable", "", 1_000, 1), ("claimable", "", 1_500, 2), ("claimable", "", 700, 3),
    ]  # fmt: skip
    agrees(polls)
    claim = shop.claim()
    settle(polls)
    confirmed = [
        ("confirmed", "", 1_000, 1),
        ("confirmed", "", 1_500, 2),
        ("confirmed", "", 700, 3),
    ]
    assert rows(polls) == confirmed
    agrees(polls)
    shop.sweep()
    settle(polls)
    assert rows(polls) == confirmed
    agrees(polls)
    shop.pay(900, 4)  # never claimed
    settle(polls)
    shop.start_withdrawal(6_800)
    settle(polls)
    assert rows(polls)[3:] == [("claimable", "", 900, 4)]
    deadline = current(polls)[3]["attributes"]["deadline_s"]
    assert 0 < int(deadline) - chain.time_s <= DELAY_S
    chain.pass_time(DELAY_S + 60)
    shop.end_withdrawal()
    settle(polls)
    assert rows(polls) == [*confirmed, ("failed", "claim_expired", 900, 4)]
    agrees(polls)
    assert escrow_holds(chain) == 0
    for row in current(polls)[:3]:
        assert (row["tx_hash"], row["attributes"]["claim_hash"]) == (claim, claim)
        assert row["payer"] == BUYER
    assert sum(row["network_fee"] > 0 for row in current(polls)) == 1
    before = polls.history()
    polls.poll()
    settle(polls)
    assert polls.history() == before


def current(polls: Polls) -> list[dict[str, Any]]:
    return polls.warehouse.records(
        "SELECT * FROM masques_marts.settlements_current WHERE status != 'superseded' "
        "ORDER BY toUInt64OrZero(attributes['charged_total']), amount"
    )


def total_in(polls: Polls) -> Decimal:
    money = "SELECT sumIf(amount, status = 'confirmed') FROM masques_marts.settlements_current"
    return Decimal(polls.warehouse.scalar(money))
